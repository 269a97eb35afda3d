//! What the pages of packages and bundles say: each text in both languages, side by side.

macro_rules! version_texts {
    ($($name:ident: $english:literal, $chinese:literal;)*) => {
        /// What the pages of packages and bundles say in one language.
        pub(in crate::pages) struct VersionTexts {
            $(pub(in crate::pages) $name: &'static str,)*
            /// So many more than are shown.
            pub(in crate::pages) more: fn(usize) -> String,
            /// A version stands in that was published before.
            pub(in crate::pages) built_as: fn(&str) -> String,
            /// What is attached to a manifest of that name.
            pub(in crate::pages) layers_of: fn(&str) -> String,
        }

        /// English.
        pub(super) static ENGLISH: VersionTexts = VersionTexts {
            $($name: $english,)*
            more: |count| format!("and {count} more"),
            built_as: |version| format!("first published as {version}"),
            layers_of: |platform| format!("Layers for {platform}"),
        };

        /// Chinese, in simplified characters.
        pub(super) static CHINESE: VersionTexts = VersionTexts {
            $($name: $chinese,)*
            more: |count| format!("另外还有 {count} 项"),
            built_as: |version| format!("首次发布的版本：{version}"),
            layers_of: |platform| format!("{platform} 的镜像层"),
        };

        #[cfg(test)]
        impl VersionTexts {
            /// Every text without placeholders, by its name.
            fn plain(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

version_texts! {
    action: "What was done", "操作";
    add_label: "Add a label", "添加标签";
    attached: "Attestations", "证明材料";
    attached_none: "Nothing is attached.", "没有附加任何材料。";
    attached_note: "What is attached says what it says; who says so is proven by signatures alone.",
        "附加材料只说明其内容本身；只有签名才能证明是谁说的。";
    audit: "Audit", "审计记录";
    audit_none: "Nothing is recorded.", "没有记录。";
    built_by: "Built by", "构建者";
    builds: "Builds", "构建";
    change: "Change", "修改";
    change_what: "Change", "变化";
    changes_of_labels: "Changes of labels", "标签变更记录";
    changes_none: "No label was changed since it was published.", "发布以来没有修改过标签。";
    channel_help: "A channel is a name that moves: whoever asks for it gets the bundle it names.",
        "通道是一个可移动的名称：按通道获取时，得到它当前指向的应用包。";
    commits_added: "Commits that come with it", "新增的提交";
    commits_dropped: "Commits that it does not have", "不再包含的提交";
    commits_more: "There are more than are shown.", "还有更多提交未列出。";
    commits_none: "Both are of the same commit.", "两者来自同一个提交。";
    commits_unknown: "Which commits lie between cannot be told.", "无法得知两者之间有哪些提交。";
    commits_at_forge: "All of them at the forge", "在代码平台查看全部";
    compare: "Compare", "比较";
    compare_chosen: "Compare the two chosen", "比较所选的两个";
    compare_from: "From", "起点";
    compare_help_bundles: "Two versions of the application, such as 1.4.1 and 1.4.2.",
        "填写应用的两个版本，例如 1.4.1 和 1.4.2。";
    compare_help_packages: "Two versions of one component, such as api/1.4.1 and api/1.4.2.",
        "填写同一组件的两个版本，例如 api/1.4.1 和 api/1.4.2。";
    compare_swap: "The other way round", "交换方向";
    compare_to: "To", "终点";
    compare_with: "Compare with", "与此版本比较";
    component_added: "added", "新增";
    component_changed: "changed", "已变化";
    component_removed: "removed", "已删除";
    component_same: "the same", "相同";
    composed: "Composed by hand", "手工组合";
    configuration: "Configuration", "配置";
    configuration_same: "The configuration is the same.", "配置相同。";
    contents: "Contents", "内容";
    contents_gone: "Its bytes are not in the registry of this server.", "本服务器的镜像仓库中没有它的内容。";
    declared: "What the developers declared", "开发者声明的配置";
    deployed_nowhere: "It was not deployed yet.", "尚未部署。";
    deployments_of: "Deployments", "部署";
    differences: "Differences", "差异";
    exact: "Exact reference", "精确引用";
    executable: "executable", "可执行";
    files: "Files", "文件";
    files_none: "It carries no files.", "不包含文件。";
    files_same: "The files are the same.", "文件相同。";
    files_unknown: "Which files it carries is not known any more.", "已无法得知包含哪些文件。";
    fingerprint: "Fingerprint", "指纹";
    generation: "Generation", "代次";
    images_none: "It has no images.", "没有镜像。";
    key: "Key", "键";
    key_help: "Letters, digits, -, _ and .", "字母、数字、-、_ 和 .";
    key_unknown: "no key that an environment names made it", "不是由环境登记的密钥签署的";
    key_unnamed: "no environment names the key that made it", "没有环境登记签署它的密钥";
    kit: "Kit", "构建套件";
    label_removed: "removed", "已移除";
    labels_by_people: "Labels", "标签";
    labels_from_source: "Labels that came with it", "随版本产生的标签";
    labels_none: "No labels.", "没有标签。";
    layers: "Layers", "镜像层";
    links_to: "link to", "链接到";
    lock: "Lock digest", "锁定摘要";
    made_from: "Made from", "构建来源";
    media_type: "Kind", "类型";
    new_channel: "A new channel", "新通道";
    new_channel_name: "Name of a new channel", "新通道的名称";
    no_runs: "Nothing ran yet: the first push starts a run.", "还没有运行：首次推送会启动一次运行。";
    not_verified: "not verified", "未验证";
    nothing_differs: "They lock the same components.", "两者锁定的组件完全相同。";
    on_this_page: "On this page", "本页内容";
    package: "Package", "组件包";
    bundle: "Bundle", "应用包";
    path: "Path", "路径";
    platforms: "Platforms", "平台";
    previous: "The one before", "前一个版本";
    provenance: "Provenance", "来源链";
    pull: "Pull", "获取";
    pull_login: "Sign in there with any user name and an access token as the password.",
        "登录时用户名任意，密码为访问令牌。";
    put_on_channel: "Put on a channel", "放入通道";
    reason: "Why", "原因";
    remove: "Remove", "移除";
    reported_by: "reported by", "报告人";
    set: "Set", "设置";
    signatures: "Signatures", "签名";
    signing_key: "Key", "密钥";
    signatures_none: "Nobody has signed it.", "尚无签名。";
    signatures_help: "They are verified by the keys that gates of environments ask for.", "使用各环境的签名关卡所要求的密钥进行验证。";
    signed: "signed", "已签名";
    unchanged: "Unchanged", "未变化";
    used_by: "Used by", "被使用于";
    used_by_none: "No bundle holds it.", "没有应用包包含它。";
    value: "Value", "值";
    verified_by: "verified by", "已验证，签署密钥：";
    version_commit_digest: "Version, commit or digest", "版本、提交或摘要";
    waived: "waived by", "豁免人";
    who: "Who", "操作人";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_of_versions_is_translated() {
        for ((name, english), (_, chinese)) in ENGLISH.plain().into_iter().zip(CHINESE.plain()) {
            assert!(english.is_ascii() && !english.trim().is_empty(), "{name}: {english}");
            assert!(!chinese.is_ascii(), "{name}: {chinese}");
        }
    }
}
