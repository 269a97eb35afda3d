//! Texts of the table of what runs where, and of deploying.

/// A text that is missing in one language does not compile.
macro_rules! table {
    ($($name:ident: $english:literal, $chinese:literal;)*) => {
        /// All texts of these pages in one language.
        pub(in crate::pages) struct DeployTexts {
            $(pub(in crate::pages) $name: &'static str,)*
            pub(in crate::pages) words: &'static Words,
        }

        /// English.
        pub(super) static ENGLISH: DeployTexts = DeployTexts { $($name: $english,)* words: &ENGLISH_WORDS };

        /// Chinese, in simplified characters.
        pub(super) static CHINESE: DeployTexts = DeployTexts { $($name: $chinese,)* words: &CHINESE_WORDS };

        #[cfg(test)]
        impl DeployTexts {
            /// Every text, by its name.
            fn plain(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

/// Texts with places to fill.
pub(in crate::pages) struct Words {
    /// The smallest number.
    pub(in crate::pages) at_least: fn(&str) -> String,
    /// The largest number.
    pub(in crate::pages) at_most: fn(&str) -> String,
    /// The longest text, in characters.
    pub(in crate::pages) longest: fn(u64) -> String,
    /// What holds where nothing is set.
    pub(in crate::pages) default: fn(&str) -> String,
    /// How a value may look.
    pub(in crate::pages) example: fn(&str) -> String,
    /// What holds already, by a wider level or the developers.
    pub(in crate::pages) in_force: fn(&str) -> String,
    /// Which version runs.
    pub(in crate::pages) now_runs: fn(&str) -> String,
    /// A kind of gate.
    pub(in crate::pages) gate: fn(&'static str) -> &'static str,
    /// What becomes of an object.
    pub(in crate::pages) change: fn(&'static str) -> &'static str,
}

static ENGLISH_WORDS: Words = Words {
    at_least: |bound| format!("At least {bound}."),
    at_most: |bound| format!("At most {bound}."),
    longest: |characters| format!("Longer than {characters} characters."),
    default: |value| format!("Default: {value}"),
    example: |value| format!("Example: {value}"),
    in_force: |value| format!("Now: {value}"),
    now_runs: |version| format!("now runs {version}"),
    gate: |gate| gate,
    change: |change| match change {
        "create" => "new",
        "update" => "changes",
        "remove" => "goes",
        "keep" => "is left",
        "same" => "stays",
        "unknown" => "not known",
        change => change,
    },
};

static CHINESE_WORDS: Words = Words {
    at_least: |bound| format!("不能小于 {bound}。"),
    at_most: |bound| format!("不能大于 {bound}。"),
    longest: |characters| format!("不能超过 {characters} 个字符。"),
    default: |value| format!("默认值：{value}"),
    example: |value| format!("示例：{value}"),
    in_force: |value| format!("当前值：{value}"),
    now_runs: |version| format!("当前运行 {version}"),
    gate: |gate| match gate {
        "approvals" => "审批",
        "window" => "时间窗口",
        "labels" => "标签",
        "channel" => "通道",
        "check" => "检查",
        "signature" => "签名",
        "soak" => "上游稳定时长",
        "pin" => "版本固定",
        "order" => "先后顺序",
        gate => gate,
    },
    change: |change| match change {
        "create" => "新建",
        "update" => "修改",
        "remove" => "删除",
        "keep" => "保留",
        "same" => "不变",
        "unknown" => "未知",
        change => change,
    },
};

table! {
    a_policy: "Policy", "策略";
    a_step: "Step", "步骤";
    a_trait: "Trait", "运维特征";
    add: "Add", "添加";
    add_policy: "Add a policy", "添加策略";
    add_step: "Add a step", "添加步骤";
    add_trait: "Add a trait", "添加运维特征";
    against: "stands against it", "不允许";
    all_branches: "All branches", "所有分支";
    as_yaml: "As YAML.", "使用 YAML 填写。";
    beside_what_runs: "Difference from what runs, whatever the cluster holds", "与当前运行版本的差异（不考虑集群中的实际状态）";
    broken_configuration: "configuration from git is broken", "来自 git 的配置有误";
    changed_meanwhile: "It would become something else by now: look at it again, then deploy.",
        "内容已发生变化：请重新查看后再部署。";
    check_and_review: "Check and review", "检查并预览";
    choose: "Choose", "选择";
    choose_bundle: "Choose a bundle", "选择应用包";
    comes_after: "after", "上游：";
    configuration_help: "Nothing here is needed: without it the configuration of the environment holds. What is set here \
        counts for this deployment alone, over everything else.",
        "此步骤可以跳过：不填写时使用环境已有的配置。此处的设置只对本次部署生效，并优先于其他配置。";
    deploy: "Deploy", "部署";
    deprecated: "deprecated", "已弃用";
    document_help: "An OAM Application. Forms write it anew, without comments.",
        "OAM Application 格式。使用表单修改后会重新生成，注释不会保留。";
    edit: "Edit", "编辑";
    follows: "follows", "自动跟随：";
    gates: "Gates", "放行条件";
    holds_already: "holds already", "已生效";
    is_needed: "This is needed.", "此项必填。";
    item: "Item", "第几项：";
    item_more: "One item more", "再添加一项";
    leave: "Back without changes", "放弃修改并返回";
    look_again: "Look again", "重新查看";
    may_go_at_once: "may go at once", "可立即部署";
    mend: "Mend", "修改";
    needs_mapping: "A mapping of names to values is expected here.", "此处应为名称到值的映射。";
    needs_number: "A number is expected here.", "此处应为数字。";
    needs_whole_number: "A whole number is expected here.", "此处应为整数。";
    no: "No", "否";
    no_applications: "There is no application that you may deploy.", "没有您可以部署的应用。";
    no_change: "Nothing changes in the cluster.", "集群中不会有任何变化。";
    no_environments: "There is no environment yet. An administrator makes one:", "还没有环境，管理员可以用以下命令创建：";
    not_known: "not known", "未知";
    not_set: "not set", "未设置";
    notes: "Notes", "说明";
    one_a_line: "One a line.", "每行一个。";
    other_properties: "Other properties", "其他属性";
    pair_a_line: "One name=value a line.", "每行一个“名称=值”。";
    part_yaml_help: "The properties as text; use it in the place of the inputs.", "以文本形式填写全部属性，可代替左侧的表单。";
    parts: "Parts of the configuration", "配置的各个部分";
    policies: "Policies", "策略";
    policies_help: "Where and how it is deployed.", "决定部署到哪里、如何部署。";
    properties: "Properties", "属性";
    reaches: "Other environments that it reaches", "同时会到达的其他环境";
    reason: "Reason (optional)", "原因（可选）";
    reason_help: "It stays in the audit record.", "会保留在审计记录中。";
    remove: "Remove", "移除";
    runs_here: "runs here", "正在此环境运行";
    runs_nothing: "runs nothing yet", "尚未运行任何内容";
    same_objects: "Objects that stay as they are", "保持不变的对象";
    set_here: "set here", "在此设置";
    set_none: "Set nothing", "清除设置";
    set_values: "Set values", "设置属性";
    stands_against: "What stands against it", "阻止部署的问题";
    step_bundle: "Bundle", "应用包";
    step_configuration: "Configuration", "配置";
    step_place: "Where", "部署位置";
    step_review: "Review", "预览";
    steps: "Steps of the deployment", "部署步骤";
    take_yaml: "Use this YAML", "使用此 YAML";
    text_alone: "This document is changed as text alone: it is not in the format that forms write, or cannot be read.",
        "此文档只能以文本方式修改：它不是表单所用的格式，或无法解析。";
    traits: "Traits", "运维特征";
    waits_after: "It then waits until every gate is open.", "之后会等待所有放行条件满足。";
    where_title: "What runs where", "部署全景";
    workflow: "Workflow", "工作流";
    workflow_help: "In which steps it is deployed; without one, all at once.", "按哪些步骤部署；未设置时一次完成。";
    would_be_refused: "would be refused", "会被拒绝";
    would_change: "What changes", "变更内容";
    would_wait: "would wait", "需要等待";
    yes: "Yes", "是";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_says_something_and_is_translated() {
        for ((name, english), (_, chinese)) in ENGLISH.plain().into_iter().zip(CHINESE.plain()) {
            assert!(!english.trim().is_empty() && english.is_ascii(), "{name}: {english}");
            assert!(!chinese.trim().is_empty() && !chinese.is_ascii(), "{name}: {chinese}");
        }
    }

    #[test]
    fn gates_and_changes_are_translated() {
        let words = CHINESE.words;
        for gate in ["approvals", "window", "labels", "channel", "check", "signature", "soak", "pin", "order"]
        {
            assert!(!(words.gate)(gate).is_ascii(), "{gate}");
        }
        for change in ["create", "update", "same", "remove", "keep", "unknown"] {
            assert!(!(words.change)(change).is_ascii(), "{change}");
        }
    }
}
