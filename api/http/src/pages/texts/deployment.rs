//! What the pages of deployments say.

use crate::pages::deployment::Action;

macro_rules! deployment_texts {
    ($($name:ident)*) => {
        /// All texts of the pages of deployments in one language.
        pub(in crate::pages) struct DeploymentTexts {
            $(pub(in crate::pages) $name: &'static str,)*
            /// What an action is called.
            pub(in crate::pages) action: fn(Action) -> &'static str,
            /// What an action does.
            pub(in crate::pages) effect: fn(Action) -> &'static str,
            /// Why a deployment exists, by the cause's word.
            pub(in crate::pages) cause: fn(&'static str) -> &'static str,
            /// How many objects a node has.
            pub(in crate::pages) objects: fn(usize) -> String,
            /// How many more there are than are listed.
            pub(in crate::pages) more: fn(usize) -> String,
            /// How often a container was started again.
            pub(in crate::pages) restarts: fn(u64) -> String,
            /// How many events there are.
            pub(in crate::pages) events_of: fn(usize) -> String,
            /// Which generation wrote an object.
            pub(in crate::pages) written_by: fn(u64) -> String,
            /// When a gate opens by itself.
            pub(in crate::pages) opens_in: fn(&str) -> String,
        }

        #[cfg(test)]
        impl DeploymentTexts {
            /// Every text without placeholders, by its name.
            fn plain(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

deployment_texts! {
    after_the_end_of all_deployments approvals asked_cluster audit before_restart caused_by change_create change_keep change_remove change_unknown change_update changes conditions containers
    counts created deadline does_not_count ended environment_removed events evidence exit_code failed_then_superseded frozen gate_closed gate_open
    gates graph handed_off history how_they_stand last_heard leave_it live no_answer_since node node_applying node_blocked
    node_pending node_ready node_unknown node_waiting not_asked not_kept not_ready not_there notes nobody_tells nothing_changes only_when
    order_expired order_overtaken order_pending order_refused orders reason_needed reason_optional receiver replaces returns_to revision show_changes step superseded_by this_one violations waits_for
    whole_history would_change why_this_bundle wrote_last
}

/// English.
pub(super) static ENGLISH: DeploymentTexts = DeploymentTexts {
    after_the_end_of: "after the end of",
    all_deployments: "All deployments, newest first",
    approvals: "Approvals",
    asked_cluster: "The cluster was asked",
    audit: "Audit",
    before_restart: "wrote before its restart",
    caused_by: "Cause",
    change_create: "made",
    change_keep: "left there",
    change_remove: "removed",
    change_unknown: "not known",
    change_update: "changed",
    changes: "What you can do",
    conditions: "Conditions",
    containers: "Containers",
    counts: "counts",
    created: "made",
    deadline: "Deadline",
    does_not_count: "is about another revision",
    ended: "ended",
    environment_removed: "environment removed",
    events: "Events",
    evidence: "What was found when nodes failed",
    exit_code: "exit code",
    failed_then_superseded: "failed before it was superseded by",
    frozen: "frozen",
    gate_closed: "closed",
    gate_open: "open",
    gates: "Gates",
    graph: "What waits for what",
    handed_off: "handed off",
    history: "This application in this environment",
    how_they_stand: "How they stand now",
    last_heard: "Last heard",
    leave_it: "Leave it as it is",
    live: "live",
    no_answer_since: "No answer since",
    node: "Node",
    node_applying: "applying",
    node_blocked: "waits for others",
    node_pending: "not begun",
    node_ready: "ready",
    node_unknown: "unknown",
    node_waiting: "not ready yet",
    not_asked: "The cluster could not be asked",
    not_kept: "What was frozen cannot be shown",
    not_ready: "not ready",
    not_there: "not there",
    notes: "Notes",
    nobody_tells: "Its receiver never reports: how its nodes stand, only the place itself tells.",
    nothing_changes: "Nothing would change in the cluster.",
    only_when: "only when",
    order_expired: "no answer in time",
    order_overtaken: "overtaken",
    order_pending: "not answered yet, is told again",
    order_refused: "refused",
    orders: "Orders that its receiver has not taken",
    reason_needed: "Reason",
    reason_optional: "Reason (optional)",
    receiver: "Receiver",
    replaces: "replaces",
    returns_to: "Returns to",
    revision: "Revision",
    show_changes: "Show what would change",
    step: "step",
    superseded_by: "superseded by",
    this_one: "this one",
    violations: "What stands against it",
    waits_for: "Waits for",
    whole_history: "All of it",
    would_change: "What would change in the cluster",
    why_this_bundle: "Why this bundle",
    wrote_last: "wrote last",
    action: |action| match action {
        Action::Approve => "Approve",
        Action::Decline => "Decline",
        Action::Withdraw => "Withdraw",
        Action::BreakGlass => "Go past the gates",
        Action::Suspend => "Suspend",
        Action::Resume => "Resume",
        Action::Retry => "Retry",
        Action::Terminate => "Stop",
        Action::Abort => "Abort",
        Action::RollBack => "Roll back",
        Action::Return => "Return to this one",
        Action::Restart => "Restart",
        Action::Remove => "Remove",
    },
    effect: |action| match action {
        Action::Approve => "You say yes to exactly this revision. It goes out once every gate is open.",
        Action::Decline => "You say no: this deployment ends, and what runs stays as it is.",
        Action::Withdraw => "This deployment is taken back before it goes out. What runs stays as it is.",
        Action::BreakGlass => {
            "This deployment goes out although gates are closed. Who did so and why is on record, and those on duty \
                are told."
        }
        Action::Suspend => "It is held where it stands, until somebody resumes it.",
        Action::Resume => "What is held goes on.",
        Action::Retry => "What failed begins anew; what is ready stays.",
        Action::Terminate => {
            "It is stopped where it stands: some nodes are new, others as before. Afterwards it can be finished by a \
                retry, or left by a rollback."
        }
        Action::Abort => {
            "It is stopped where it stands, and what was live before comes back at once and past the gates, with the \
                secrets of now. Nothing moves it by itself until the hold is released."
        }
        Action::RollBack => {
            "What was live before takes the place of what runs, at once and past the gates, with the secrets of now. \
                Nothing moves it by itself until the hold is released."
        }
        Action::Return => {
            "This revision takes the place of what runs, with the secrets of now. If it was live once, at once; \
                else through the gates of today."
        }
        Action::Restart => {
            "The same bundle is deployed again, with the configuration and the secrets of now. Its workloads \
                begin anew."
        }
        Action::Remove => {
            "Everything that this application has in this environment is taken away. What runs there ends."
        }
    },
    cause: |word| match word {
        "deploy" => "chosen",
        "promote" => "promoted",
        "follow" => "followed by itself",
        "reach" => "reached from elsewhere",
        "rollback" => "rollback",
        "restart" => "restart",
        "remove" => "removal",
        "adopt" => "taken over",
        word => word,
    },
    objects: |count| if count == 1 { "1 object".to_owned() } else { format!("{count} objects") },
    more: |count| format!("and {count} more"),
    restarts: |count| {
        if count == 1 { "restarted once".to_owned() } else { format!("restarted {count} times") }
    },
    events_of: |count| if count == 1 { "1 event".to_owned() } else { format!("{count} events") },
    written_by: |generation| format!("written by generation {generation}"),
    opens_in: |time| format!("opens by itself in {time}"),
};

/// Chinese, in simplified characters.
pub(super) static CHINESE: DeploymentTexts = DeploymentTexts {
    after_the_end_of: "在以下节点结束之后",
    all_deployments: "全部部署（最新在前）",
    approvals: "审批",
    asked_cluster: "查询集群的时间：",
    audit: "审计",
    before_restart: "重启前的输出",
    caused_by: "起因",
    change_create: "新建",
    change_keep: "保留",
    change_remove: "移除",
    change_unknown: "未知",
    change_update: "变更",
    changes: "可用操作",
    conditions: "状况",
    containers: "容器",
    counts: "有效",
    created: "创建",
    deadline: "截止时间",
    does_not_count: "针对的是另一个修订",
    ended: "结束",
    environment_removed: "环境已移除",
    events: "事件",
    evidence: "节点失败时的现场信息",
    exit_code: "退出码",
    failed_then_superseded: "先失败，后被取代，新部署：",
    frozen: "冻结",
    gate_closed: "未放行",
    gate_open: "已放行",
    gates: "门禁",
    graph: "节点依赖图",
    handed_off: "移交",
    history: "此应用在此环境中的历史",
    how_they_stand: "查看当前状态",
    last_heard: "最近收到消息",
    leave_it: "保持原样",
    live: "运行正常",
    no_answer_since: "无应答，开始于",
    node: "节点",
    node_applying: "应用中",
    node_blocked: "等待其他节点",
    node_pending: "未开始",
    node_ready: "就绪",
    node_unknown: "未知",
    node_waiting: "尚未就绪",
    not_asked: "无法查询集群",
    not_kept: "无法显示冻结的内容",
    not_ready: "未就绪",
    not_there: "不存在",
    notes: "备注",
    nobody_tells: "此接收方从不回报：各节点的状态只能在目标环境中查看。",
    nothing_changes: "集群中没有任何变化。",
    only_when: "仅当",
    order_expired: "超时无应答",
    order_overtaken: "已被更新的内容取代",
    order_pending: "尚未应答，将再次发送",
    order_refused: "被拒绝",
    orders: "接收方尚未执行的指令",
    reason_needed: "原因",
    reason_optional: "原因（可选）",
    receiver: "接收方",
    replaces: "取代",
    returns_to: "将恢复到",
    revision: "修订",
    show_changes: "查看将发生的变化",
    step: "步骤",
    superseded_by: "被取代，新部署：",
    this_one: "当前查看",
    violations: "违反的规则",
    waits_for: "等待",
    whole_history: "查看全部",
    would_change: "集群中将发生的变化",
    why_this_bundle: "为何选择此应用包",
    wrote_last: "最后的输出",
    action: |action| match action {
        Action::Approve => "批准",
        Action::Decline => "否决",
        Action::Withdraw => "撤回",
        Action::BreakGlass => "越过门禁",
        Action::Suspend => "暂停",
        Action::Resume => "继续",
        Action::Retry => "重试",
        Action::Terminate => "终止",
        Action::Abort => "中止",
        Action::RollBack => "回滚",
        Action::Return => "恢复到此版本",
        Action::Restart => "重启",
        Action::Remove => "移除",
    },
    effect: |action| match action {
        Action::Approve => "您批准的正是这个修订。所有门禁放行后即开始部署。",
        Action::Decline => "您否决此次部署：它到此结束，正在运行的内容不变。",
        Action::Withdraw => "在部署之前撤回。正在运行的内容不变。",
        Action::BreakGlass => "尽管门禁未放行，仍然部署。操作人和原因会被记录，并通知值班人员。",
        Action::Suspend => "停在当前状态，直到有人选择继续。",
        Action::Resume => "被暂停的部分继续执行。",
        Action::Retry => "失败的部分重新开始，已就绪的部分保留。",
        Action::Terminate => "停在当前状态：部分节点是新的，其余保持原样。之后可以重试以完成，或者回滚。",
        Action::Abort => {
            "停在当前状态，并立即恢复到之前正常运行的内容，不经过门禁，使用当前的密钥。解除保持之前，不会自动发生任何变更。"
        }
        Action::RollBack => {
            "立即恢复到之前正常运行的内容，不经过门禁，使用当前的密钥。解除保持之前，不会自动发生任何变更。"
        }
        Action::Return => {
            "由此修订取代正在运行的内容，使用当前的密钥。曾经正常运行过的立即恢复，否则需通过现行门禁。"
        }
        Action::Restart => "用当前的配置和密钥重新部署同一个应用包，其工作负载会重新启动。",
        Action::Remove => "移除此应用在此环境中的全部内容，正在运行的服务会停止。",
    },
    cause: |word| match word {
        "deploy" => "人工选择",
        "promote" => "晋级",
        "follow" => "自动跟随",
        "reach" => "由其他环境带动",
        "rollback" => "回滚",
        "restart" => "重启",
        "remove" => "移除",
        "adopt" => "接管",
        word => word,
    },
    objects: |count| format!("{count} 个对象"),
    more: |count| format!("另有 {count} 个"),
    restarts: |count| format!("已重启 {count} 次"),
    events_of: |count| format!("{count} 个事件"),
    written_by: |generation| format!("由代次 {generation} 写入"),
    opens_in: |time| format!("{time}后自动放行"),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_says_something_and_is_translated() {
        for ((name, english), (_, chinese)) in ENGLISH.plain().into_iter().zip(CHINESE.plain()) {
            assert!(!english.trim().is_empty() && english.is_ascii(), "{name}: {english}");
            assert!(!chinese.trim().is_empty() && !chinese.is_ascii(), "{name}: {chinese}");
        }
        for action in Action::ALL {
            for (english, chinese) in [
                ((ENGLISH.action)(action), (CHINESE.action)(action)),
                ((ENGLISH.effect)(action), (CHINESE.effect)(action)),
            ] {
                assert!(english.is_ascii() && !chinese.is_ascii(), "{action:?}: {english} {chinese}");
            }
        }
    }

    #[test]
    fn every_cause_has_a_word_and_one_is_not_many() {
        for word in ["deploy", "promote", "follow", "reach", "rollback", "restart", "remove", "adopt"] {
            assert!(!(CHINESE.cause)(word).is_ascii(), "{word}");
        }
        assert_eq!(((ENGLISH.objects)(1).as_str(), (ENGLISH.objects)(2).as_str()), ("1 object", "2 objects"));
        assert_eq!((ENGLISH.restarts)(1), "restarted once");
    }
}
