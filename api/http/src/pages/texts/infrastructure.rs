//! What the pages of the infrastructure say beyond what all pages say: each text in English, then in Chinese.

use crate::pages::language::Language;

macro_rules! texts {
    ($($name:ident: $english:literal, $chinese:literal;)*) => {
        /// The texts of these pages in one language.
        #[derive(Debug)]
        pub(in crate::pages) struct InfrastructureTexts {
            pub(in crate::pages) language: Language,
            $(pub(in crate::pages) $name: &'static str,)*
        }

        static ENGLISH: InfrastructureTexts = InfrastructureTexts { language: Language::English, $($name: $english,)* };

        static CHINESE: InfrastructureTexts = InfrastructureTexts { language: Language::Chinese, $($name: $chinese,)* };

        #[cfg(test)]
        const ALL: &[(&str, &str, &str)] = &[$((stringify!($name), $english, $chinese),)*];
    };
}

impl InfrastructureTexts {
    /// Those of a language.
    pub(in crate::pages) fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::Chinese => &CHINESE,
        }
    }
}

texts! {
    about: "About", "说明";
    absent: "not there", "不存在";
    account: "Account", "账号";
    action: "Action", "操作";
    actor: "Who", "操作人";
    addon_applying: "being made", "创建中";
    addon_degraded: "degraded", "异常";
    addon_failed: "failed", "失败";
    addon_ready: "ready", "就绪";
    addon_released: "released", "已释放";
    addon_release_failed: "not taken away", "释放失败";
    addon_releasing: "being taken away", "释放中";
    addon_version_help: "Of a new one the newest, if this is left empty; else the one it has.",
        "新建时留空表示最新版本；修改时留空表示保持现有版本。";
    addons: "Add-ons", "附加资源";
    address_help: "unit/cluster/namespace, or unit/cluster/namespace/stage; it never changes. Clusters:",
        "格式为 unit/cluster/namespace 或 unit/cluster/namespace/stage，创建后不能修改。集群：";
    admin_may:
        "all of that, and makes applications, environments, clusters, tokens and secrets for \
         everybody.",
        "以上全部，并可创建应用、环境、集群、令牌和全局密钥。";
    aliases: "Other names", "别名";
    all_settings: "All settings as one document", "以文档形式编辑全部设置";
    application: "Application", "应用";
    approvals_count: "Approvals", "需要的批准数";
    approvals_count_help: "So many people must have said yes. Empty: none are needed.", "需要这么多人批准；留空表示不需要批准。";
    approvals_of: "Who may approve", "可以批准的人";
    approvals_of_help: "One person in a line. Empty: everybody with the role operator.",
        "每行一人；留空表示所有拥有 operator 角色的人。";
    as_usual: "as usual (report)", "默认（仅报告）";
    attempts: "Attempts", "尝试次数";
    audit: "Audit", "审计";
    audit_back_to: "The record is long: it was looked through from the newest entry back to entry",
        "记录较长：已从最新一条向前验证到编号";
    audit_broken: "broken", "已损坏";
    audit_intro:
        "What people and services did. Each entry covers the one before it, so that none is altered \
         unseen.",
        "人员和服务执行过的操作。每条记录都覆盖前一条，因此任何改动都会被发现。";
    audit_so_far: "whole so far", "目前完整";
    audit_whole: "whole", "完整";
    author_may: "The author may approve too", "作者本人也可以批准";
    beside_builtin: "It may stand beside a definition that is part of Slipway", "允许与内置定义同名并存";
    bind_application: "Bind an application", "绑定应用";
    bindings: "Bindings", "绑定";
    break_glass: "break-glass", "紧急放行";
    break_glass_help: "Whoever has it may go past closed gates, with a reason.", "持有者可以在说明原因后越过未通过的关卡。";
    broken_at: "Broken at entry", "损坏位置：";
    builders: "Where images are built", "镜像构建位置";
    cannot_be_used: "What cannot be used", "无法使用的定义";
    change: "Change", "修改";
    channels: "Channels", "通知渠道";
    check_cluster: "Look at it now", "立即检查";
    check_owners: "Checks and whose word they are", "检查项及其负责人";
    check_owners_help: "CHECK=PERSON in each line: only what that person or service reports counts.",
        "每行一个 检查项=人员；只有该人员或服务的报告有效。";
    check_source: "Check the source", "检查来源";
    choose_application: "Name an application to see its secrets.", "请填写应用名称以查看它的密钥。";
    cluster: "Cluster", "集群";
    comes_from: "Comes from", "来自";
    compared_every: "Heads are compared every", "比对间隔";
    context: "Context", "上下文";
    context_help: "Of the kubeconfig. Empty: its current one.", "kubeconfig 中的上下文；留空表示当前上下文。";
    cordon: "Let nothing new go there", "停止向此集群部署";
    cordon_help: "Whoever deploys is told this. Approved deployments wait, and their gates are asked again.",
        "部署人会看到此原因。已批准的部署会等待，恢复后重新检查关卡。";
    count: "Count", "数量";
    create_namespace: "Make the namespace if it is not there", "命名空间不存在时自动创建";
    credential: "Credential", "凭据";
    database: "Database", "数据库";
    days: "days", "天";
    dead_jobs: "Jobs that were given up", "已放弃的任务";
    default_value: "Default", "默认值";
    definition: "Definition", "定义";
    definitions: "Definitions", "定义";
    definitions_intro: "Component types, traits, policies, workflow steps and add-ons that plans may use.",
        "部署方案可以使用的组件类型、特性、策略、工作流步骤和附加资源。";
    deliveries: "Deliveries", "推送记录";
    delivery_failed: "failed", "失败";
    delivery_ignored: "ignored", "已忽略";
    delivery_planned: "planned", "已受理";
    delivery_received: "received", "已收到";
    detail: "Detail", "详情";
    developer_may: "that, and pushes, starts and cancels runs, sets labels and channels.",
        "以上权限，并可推送、启动和取消运行、设置标签和通道。";
    disable: "Offer it no longer", "停用";
    disabled: "not offered", "已停用";
    drift: "What others change there", "他人的改动";
    drift_correct: "is written again", "自动改回";
    drift_report: "is reported", "仅报告";
    enable: "Offer it to new plans", "启用";
    enabled: "offered", "可用";
    entries: "Entries", "记录数";
    environment: "Environment", "环境";
    environments_and_clusters: "Environments and clusters", "环境与集群";
    event: "Event", "事件";
    events: "Events", "事件";
    everything: "everything", "全部";
    examples: "Examples", "示例";
    expire_after_hours: "Hours that a deployment may wait for its gates, or for its cluster to take it",
        "部署等待关卡或集群恢复部署的最长小时数";
    expires: "Ends", "到期";
    expires_after: "A deployment waits for gates and its cluster at most", "部署最长等待时间";
    expires_help: "Empty: it never ends by itself.", "留空表示永不到期。";
    expires_in_days: "Days until it ends", "有效天数";
    fails: "fails", "失败";
    files: "Files", "文件";
    findings: "What was found", "检查结果";
    follow: "Deploy by itself", "自动部署";
    follow_applications: "Applications it holds for", "适用的应用";
    follow_applications_help: "One in a line. Empty: all.", "每行一个；留空表示全部应用。";
    follow_branch: "What is published from this branch", "来自此分支的应用包";
    follow_channel: "What this channel names", "此通道指向的应用包";
    follow_from: "What runs in this environment", "此环境中运行的版本";
    follow_help:
        "What meets all that is filled in here goes out by itself, through the same gates. Empty: \
         nothing does.",
        "符合以下全部条件的应用包会自动部署，并同样经过关卡；全部留空表示不自动部署。";
    follow_range: "Range of versions", "版本范围";
    follow_selector: "Labels", "标签条件";
    follow_soak: "After so long there", "在该环境运行的时间";
    follow_soak_minutes: "Minutes that it must have run there", "在该环境至少运行的分钟数";
    follow_windows: "When it may happen", "允许自动部署的时段";
    follows: "deploys by itself", "自动部署";
    from_directory: "a directory of the server", "服务器目录";
    from_package: "a registry", "镜像仓库";
    from_slipway: "part of Slipway", "内置";
    further: "Further", "其他设置";
    gate_approvals: "Approvals", "批准";
    gate_channels: "Channels", "通道";
    gate_checks: "Checks", "检查";
    gate_labels: "Labels", "标签";
    gate_signatures: "Signatures", "签名";
    gate_soak: "Time upstream", "上游运行时间";
    gate_windows: "Windows", "时段";
    gates: "Gates", "关卡";
    generation: "Generation", "代次";
    given_up: "Given up", "已放弃";
    held_by: "Held by", "锁定此版本的应用";
    hold_major: "Hold an application to a major version", "为应用锁定主版本";
    hold_major_help: "The next plan of the application takes this one.", "该应用的下一次部署方案将使用此主版本。";
    holds: "holds", "正常";
    hours: "hours", "小时";
    identity: "Identity", "标识";
    images_in: "Images are kept in", "镜像存放于";
    incident_open: "open", "未恢复";
    incident_over: "over", "已结束";
    incident_recovering: "as wanted again", "恢复中";
    incidents: "Incidents", "事件通知";
    install_definition: "Install a definition", "安装定义";
    installed_by: "Installed by", "安装人";
    is_for: "For", "适用范围";
    job_dead: "given up", "已放弃";
    job_leased: "under way", "进行中";
    job_ready: "waiting", "等待中";
    kept_blobs: "Bytes that nothing refers to are kept", "无引用数据保留";
    kept_branches: "Versions of deleted branches are kept", "已删除分支的版本保留";
    kept_logs: "Logs are kept", "日志保留";
    kept_steps: "Cached build steps are kept", "构建缓存保留";
    kind: "Kind", "类型";
    kind_addon: "add-on", "附加资源";
    kind_component: "component type", "组件类型";
    kind_policy: "policy", "策略";
    kind_step: "workflow step", "工作流步骤";
    kind_trait: "trait", "特性";
    kinds_served: "Kinds of objects", "资源种类数";
    kit_recipe: "Recipe", "配方号";
    kit_verbs: "May do", "可执行的操作";
    kits: "Build kits", "构建套件";
    kits_intro: "A component names its kit in slipway.yaml; each kit says what the component may tell it.",
        "组件在 slipway.yaml 中指定构建套件；每个套件说明组件可以填写的选项。";
    kubeconfig_help:
        "secret://builtin/NAME or secret://file/PATH of a kubeconfig. Empty: the cluster that this \
         server runs in.",
        "kubeconfig 的引用：secret://builtin/NAME 或 secret://file/PATH；留空表示服务器所在集群。";
    labels_help: "KEY=VALUE in each line; policies choose by them.", "每行一个 KEY=VALUE，供策略选择。";
    largest_blob: "Largest layer", "最大镜像层";
    largest_call: "Largest API call", "最大 API 请求";
    largest_manifest: "Largest manifest", "最大清单";
    largest_push: "Largest push", "最大推送";
    largest_webhook: "Largest webhook", "最大 webhook 请求";
    last_notice: "Last notice", "最近一次通知";
    last_used: "Last used", "最近使用";
    let_go: "Take the protection away", "取消保护";
    limits: "Limits", "限制";
    look_again: "Look again", "重新查看";
    machine: "The machine", "服务器状态";
    made: "Made", "创建";
    looked: "Looked at", "查看于";
    major_version: "Major version", "主版本";
    manifest: "Manifest", "清单";
    measured: "Measured by upkeep", "由清理任务统计于";
    name_help: "Lower-case letters, digits and hyphens; it never changes.", "小写字母、数字和连字符，创建后不能修改。";
    namespace: "Namespace", "命名空间";
    namespace_made: "made if it is not there", "自动创建";
    namespace_there: "must be there", "必须已存在";
    never: "never", "从未";
    new_addon: "New add-on", "新建附加资源";
    new_addon_intro: "An add-on is a resource, such as a database, that applications are bound to.",
        "附加资源是供应用绑定使用的资源，例如数据库。";
    new_cluster: "Register a cluster", "注册集群";
    new_cluster_intro:
        "The cluster must answer. Without a kubeconfig it is the one that this server runs in.",
        "集群必须可以访问。不填写 kubeconfig 时，使用服务器所在的集群。";
    new_environment: "New environment", "新建环境";
    new_environment_intro:
        "An environment is a namespace in a cluster, with what must hold before anything goes there.",
        "环境是集群中的一个命名空间，以及部署前必须满足的条件。";
    new_token: "New token", "新建令牌";
    new_webhook_secret: "Make a new webhook secret", "生成新的 webhook 密钥";
    new_webhook_secret_confirm: "The one before ends at once: the forge needs the new one.",
        "旧密钥立即失效，需要在代码平台上填写新密钥。";
    newest_entry: "Keep this digest of the newest entry elsewhere: it shows later that none was cut off.",
        "请另行保存最新记录的摘要，以后可以证明记录没有被截断：";
    no_addons: "No add-ons yet. An add-on is a resource, such as a database, that applications are bound to.",
        "暂无附加资源。附加资源是供应用绑定使用的资源，例如数据库。";
    no_bindings: "No application that you may see is bound to it.", "没有您可以查看的应用绑定到它。";
    no_channels: "No channels yet: they stand in the server's configuration, under [[notices.channels]].",
        "暂无通知渠道：请在服务器配置的 [[notices.channels]] 中添加。";
    no_clusters: "No clusters yet. Register one first: environments lie in clusters.",
        "暂无集群。请先注册集群，环境位于集群之中。";
    no_deliveries: "Nothing was received yet.", "尚未收到任何推送。";
    no_environments:
        "No environments yet. An environment is a namespace in a registered cluster that applications \
         are deployed to.",
        "暂无环境。环境是已注册集群中的一个命名空间，应用部署到其中。";
    no_incidents: "Everything was as wanted so far.", "目前一切正常。";
    no_properties: "It takes no properties.", "没有可设置的属性。";
    no_refusals: "No request was refused.", "没有被拒绝的请求。";
    no_secrets: "No secrets here yet.", "暂无密钥。";
    no_sources: "No sources yet: each application brings its own.", "暂无来源：创建应用时会一并创建。";
    nobody: "nobody", "无人";
    nobody_uses_it: "Nobody uses it, as far as that can be seen.", "目前没有发现使用者。";
    not_measured: "How much is used is not known yet: upkeep measures it when it looks at all blobs.",
        "尚不清楚已使用的空间：清理任务查看全部数据块时会统计。";
    nothing_to_do: "Nothing waits to be done.", "没有等待处理的任务。";
    nothing_to_restart: "Nothing ran with an earlier value.", "没有部署在使用旧的值。";
    notice_failed: "failed", "失败";
    notice_pending: "waiting", "等待发送";
    notice_sent: "sent", "已发送";
    notices: "Notices", "通知";
    number: "Number", "编号";
    one_a_line: "One in a line.", "每行一个。";
    only_says: "only says what it would remove", "仅报告，不删除";
    open_now: "open now", "现在开放";
    opens_in: "opens in", "距开放还有";
    operator_may: "all of that, and deploys, approves, pins, and sets secrets of applications.",
        "以上全部，并可部署、批准、固定版本、设置应用密钥。";
    outputs: "Outputs", "输出";
    own_cluster: "the cluster that this server runs in", "服务器所在的集群";
    owner: "Owner", "负责人";
    owner_help: "Who answers for it. Of a new one you, if this is left empty.", "负责人；新建时留空表示您本人。";
    package_reference: "Package", "软件包";
    person: "Person", "人员";
    person_help: "Whose it is: approvals count people, not tokens. Empty: the token's name.",
        "令牌属于谁：批准按人计算，而不是按令牌。留空表示与令牌同名。";
    platforms: "Platforms", "平台";
    prefix: "Prefix of variables", "变量前缀";
    prefix_help:
        "With DB, all components get DB_HOST and so on. Empty: only what the configuration asks for.",
        "例如 DB：所有组件会得到 DB_HOST 等变量；留空表示仅按配置提供。";
    properties: "Properties", "属性";
    properties_help: "JSON, as the definition's page describes it.", "JSON 格式，各属性见定义页面。";
    protect: "Protect it", "启用保护";
    protected: "protected", "受保护";
    pull_only: "pulls only", "仅拉取";
    pull_registry: "Nodes pull images from", "节点拉取镜像的仓库";
    queue: "What is to be done", "任务队列";
    range_help: "For example ^1.4", "例如 ^1.4";
    reached_by: "Kubeconfig", "Kubeconfig 引用";
    reader_may: "sees and pulls.", "查看和拉取。";
    reason: "Reason", "原因";
    receiver: "Receiver", "接收方";
    receiver_core: "The built-in core", "内置核心";
    receiver_help: "Who is handed what shall run. A receiver over HTTP is set in the document below.",
        "由谁来执行部署。HTTP 接收方请在下方文档中设置。";
    receiver_http: "A service over HTTP", "HTTP 服务";
    receiver_kubevela: "KubeVela", "KubeVela 控制器";
    receiver_oci: "An OCI artifact (Flux, Argo CD, kubectl)", "OCI 制品（Flux、Argo CD、kubectl）";
    redeliver: "Judge anew", "重新处理";
    reference_help: "HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST, as slipway definition push prints it.",
        "HOST/REPOSITORY:TAG 或 HOST/REPOSITORY@DIGEST，即 slipway definition push 输出的引用。";
    refusals: "Refused requests", "被拒绝的请求";
    refusals_help: "These proved nothing: compare the forge's secret, or make a new one.",
        "这些请求未通过验证：请核对代码平台上的密钥，或生成新的密钥。";
    registry: "Registry", "镜像仓库";
    release_addon: "Take it away", "释放";
    release_addon_confirm: "Everything that was made for it goes, data included.", "为它创建的一切都会被删除，包括数据。";
    release_major: "Let an application go", "解除应用的版本锁定";
    release_major_help: "The next deployment takes the newest version and holds that.", "下一次部署将使用最新版本并锁定该版本。";
    remove_cluster: "Forget the cluster", "移除集群";
    remove_cluster_confirm: "Slipway forgets it; in the cluster nothing changes.", "仅从 Slipway 中移除，集群本身不会改变。";
    remove_definition: "Remove this version", "移除此版本";
    remove_definition_confirm: "Plans can no longer use it.", "部署方案将无法再使用它。";
    remove_environment: "Remove the environment", "移除环境";
    remove_environment_confirm:
        "Slipway forgets it with its settings. Its secrets stay until somebody removes them.",
        "环境及其设置将被移除；其中的密钥会保留，直到有人删除。";
    remove_secret: "Remove the secret", "删除密钥";
    remove_secret_confirm: "Its value cannot be brought back, and whatever needs it fails.",
        "密钥的值无法恢复，依赖它的内容将会失败。";
    removes: "removes", "自动删除";
    replace_cluster: "Another cluster takes this name over", "由另一个集群接管此名称";
    replace_cluster_help: "Only if what answers now is meant to be another cluster than before.",
        "仅当现在访问到的确实是另一个集群时勾选。";
    required: "required", "必填";
    restart_users: "Restart what runs with it", "重启正在使用它的部署";
    restart_users_help: "The same revisions with the new value, through their gates.", "使用相同的版本和新的值，并同样经过关卡。";
    restart_waits: "its turn has not come", "等待重启";
    restarts: "What was restarted", "已重启";
    restarts_go_on: "What runs with it is being restarted.", "正在重启使用它的部署。";
    revision: "Revision", "修订";
    revoke: "Revoke", "吊销";
    revoke_confirm: "Whoever uses it or is signed in by it is locked out at once.", "使用它或通过它登录的人会立即失去访问权限。";
    revoked: "revoked", "已吊销";
    role: "Role", "角色";
    role_admin: "admin", "管理员";
    role_developer: "developer", "开发者";
    role_operator: "operator", "运维";
    role_reader: "reader", "只读";
    roles: "What each role may do", "各角色的权限";
    rotate_secret: "Give it its next value", "更换密钥的值";
    scope: "Scope", "范围";
    secret_application_help:
        "Empty: not for one application alone. Operators set those of their applications.",
        "留空表示不限于某个应用。运维人员可以设置自己应用的密钥。";
    secret_environment_help: "For the application in this environment alone; needs the application.",
        "仅用于该应用的此环境，需要同时填写应用。";
    secret_name_help: "Components name it as secret://builtin/NAME. One that is there gets its next value.",
        "组件以 secret://builtin/NAME 引用它；已存在的密钥会得到新的值。";
    secret_outputs: "Secret outputs", "密钥输出";
    secret_team_help: "For all applications of a team. Without application and team it is for everybody.",
        "用于某个团队的所有应用；应用和团队都留空时对所有应用有效。";
    secret_value: "Value", "值";
    secret_value_help: "It is sealed at once, and no page shows it again.", "值会立即加密保存，任何页面都不会再显示。";
    secrets: "Secrets", "密钥";
    secrets_intro:
        "Names and scopes; values are never shown. The narrowest scope that has a name gives its \
         value.",
        "仅显示名称和范围，从不显示值。同名时使用范围最小的那一个。";
    selector_help: "For example tested=yes,!broken", "例如 tested=yes,!broken";
    sensing: "How changes there are heard", "感知变化的方式";
    sensing_help: "Watching is faster; asking suits very many clusters, or networks that end long answers.",
        "监听更快；轮询适合集群很多或网络会中断长连接的情况。";
    sensing_pull: "by asking now and then", "定期轮询";
    sensing_watch: "by watching", "持续监听";
    server: "Server and storage", "服务器与存储";
    set_at: "Set", "设置时间";
    set_secret: "Set a secret", "设置密钥";
    settings_document: "Settings", "设置文档";
    settings_document_help: "JSON. What is left out is unset.", "JSON 格式；未写出的设置将被清除。";
    setup_generic:
        "For scripts of your own: POST the JSON {\"ref\": \"refs/heads/main\", \"commit\": \"40 hex digits\", \
         \"actor\": \"ann\"} with the header X-Slipway-Signature: sha256= and the HMAC-SHA256 of the body \
         in hex, keyed by the secret.",
        "用于自己的脚本：POST JSON {\"ref\": \"refs/heads/main\", \"commit\": \"40 位十六进制\", \"actor\": \"ann\"}，请求头 X-Slipway-Signature 为 sha256= 加上以密钥计算的正文 HMAC-SHA256（十六进制）。";
    setup_gitea:
        "Settings, Webhooks, Add webhook, Gitea or Forgejo. Target URL: the address below. POST, \
         application/json. Secret: the webhook secret. Trigger: push events.",
        "设置 → Webhooks → 添加 webhook → Gitea 或 Forgejo。目标 URL 填写下方地址，POST，application/json，密钥填写 webhook 密钥，触发条件选择推送事件。";
    setup_github:
        "Settings, Webhooks, Add webhook. Payload URL: the address below. Content type: \
         application/json. Secret: the webhook secret. Just the push event.",
        "Settings → Webhooks → Add webhook。Payload URL 填写下方地址，Content type 选择 application/json，Secret 填写 webhook 密钥，只选择 push 事件。";
    setup_gitlab:
        "Settings, Webhooks, Add new webhook. URL: the address below. Secret token: the webhook \
         secret. Trigger: push events and tag push events.",
        "设置 → Webhooks → 添加新的 webhook。URL 填写下方地址，Secret 令牌填写 webhook 密钥，触发器选择推送事件和标签推送事件。";
    send_again: "Send again", "重新发送";
    show_ended: "Show revoked and expired tokens too", "同时显示已吊销和已过期的令牌";
    soak_help: "The same components must have run upstream for so long.", "相同的组件必须先在上游环境运行这么久。";
    soak_minutes: "Minutes upstream", "上游运行分钟数";
    source_answers: "answers", "正常";
    source_fails: "does not answer", "无法访问";
    source_unseen: "not looked at yet", "尚未检查";
    sources: "Sources", "来源";
    storage: "Storage", "存储";
    subject: "Subject", "对象";
    takes_deployments: "takes deployments", "接受部署";
    team: "Team", "团队";
    team_help: "Of a new one the team default, if this is left empty.", "新建时留空表示团队 default。";
    test_channel: "Send a test", "发送测试";
    token_application_help: "Limits it to one application. Empty: the whole server.", "仅限一个应用；留空表示整个服务器。";
    token_expired: "ended", "已过期";
    token_holds: "holds", "有效";
    token_name_help: "Shown as the actor of all it does.", "操作记录中显示的名称。";
    token_once: "The token, shown this once:", "令牌仅显示这一次：";
    tokens: "Tokens and roles", "令牌与角色";
    told: "Told", "已通知";
    unbind: "Unbind", "解除绑定";
    unbind_confirm: "Its account loses its way in, and what was made for it goes.", "该账号将失去访问权限，为它创建的内容会被删除。";
    uncordon: "Let things go there again", "恢复向此集群部署";
    unknown: "unknown", "未知";
    unusable: "cannot be used", "无法使用";
    upkeep: "Upkeep", "清理";
    upstream_help: "Where a bundle runs before it comes here.", "应用包在部署到这里之前运行的环境。";
    used_blobs: "Blobs", "数据块";
    used_by: "Used by", "使用者";
    used_bytes: "Used", "已使用";
    user: "User", "使用者";
    user_build: "build", "构建";
    user_configuration: "configuration", "配置";
    user_pending: "on its way", "部署中";
    user_running: "runs", "运行中";
    user_server: "the server itself", "服务器自身";
    uses: "Uses", "使用数";
    verdict: "Verdict", "结果";
    verify_audit: "Look through the whole record", "验证完整记录";
    verify_on: "Go on to older entries", "继续验证更早的记录";
    versions: "Versions", "版本";
    waiting: "Waiting", "等待发送";
    waits_since: "The oldest is due since", "最早任务的到期时间";
    was_rotated: "It has its next value.", "密钥已有新的值。";
    webhook_intro:
        "A webhook tells of each push at once; without it, the heads are compared from time to time. \
         Choose your forge:",
        "webhook 会立即通知每次推送；没有 webhook 时，系统会定期比对分支。请选择代码平台：";
    webhook_secret_kept:
        "Each webhook needs the source's secret. It was shown once, when it was made, and is kept as \
         the secret",
        "每个 webhook 都需要来源的密钥。密钥只在生成时显示一次，并保存为密钥";
    what_it_gives: "What it gives", "提供的内容";
    windows_help: "One in a line: mon-fri 09:00-17:00 +08:00. Without an offset it is UTC. Empty: always.",
        "每行一个，例如 mon-fri 09:00-17:00 +08:00；不写时差表示 UTC；留空表示不限。";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_translated() {
        for (name, english, chinese) in ALL {
            assert!(!english.trim().is_empty() && english.is_ascii(), "{name}: {english}");
            assert!(!chinese.is_ascii(), "{name}: {chinese}");
        }
    }
}
