use super::*;

fn later() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

fn applying(doing: Doing, slot: Slot) -> Standing {
    Standing::Applying { doing, slot, trouble: None }
}

/// Every standing, with the parts of applying that matter.
fn standings() -> [Standing; 16] {
    let because = Some("db".to_owned());
    [
        Standing::Pending,
        Standing::Blocked { by: Blocker::Turn },
        applying(Doing::Call, Slot::Has),
        applying(Doing::Call, Slot::Rests { until: later() }),
        applying(Doing::Call, Slot::Wants),
        applying(Doing::Apply, Slot::Has),
        applying(Doing::Apply, Slot::Rests { until: later() }),
        applying(Doing::Apply, Slot::Wants),
        Standing::Suspended { until: None, note: String::new() },
        Standing::Waiting { blocker: "x".into() },
        Standing::Ready { health: Health::Good },
        Standing::Failed { reason: "x".into() },
        Standing::TimedOut { reason: "x".into() },
        Standing::Skipped { because, reason: "x".into() },
        Standing::LeftOut { reason: "x".into() },
        Standing::Terminated { reason: "x".into() },
    ]
}

fn moves() -> [Move; 17] {
    [
        Move::Block(Blocker::Node("db".into())),
        Move::Begin(Doing::Call),
        Move::Begin(Doing::Apply),
        Move::Stumble { why: "x".into(), until: later() },
        Move::Anew { doing: Doing::Apply, why: "x".into(), until: later() },
        Move::Queue,
        Move::Again,
        Move::Hold { until: None, note: "look at it".into() },
        Move::Wait("y".into()),
        Move::Arrive,
        Move::Sense(Health::Degraded("x".into())),
        Move::Fail("x".into()),
        Move::TimeOut("x".into()),
        Move::Skip { because: None, reason: "x".into() },
        Move::LeaveOut("x".into()),
        Move::Terminate("x".into()),
        Move::Reopen,
    ]
}

/// One line a standing, one letter a move, in the orders above: where it leads, `.` where it is refused.
/// p pending, b blocked, c called, a applied, r rests, w wants a slot, h held, o waiting, R ready, F failed,
/// T timed out, S skipped, L left out, X terminated.
const TABLE: [&str; 16] = [
    "bca....hoR.F.SLX.",
    "bca....hoR.F.SLX.",
    "..arr..hoR.FT..X.",
    ".....wc....FT..X.",
    "......c....FT..X.",
    "...rr..hoR.FT..X.",
    ".....wa....FT..X.",
    "......a....FT..X.",
    ".......hoR..T..X.",
    "...rr...oR.FT..X.",
    "..........R......",
    ".........R......p",
    ".........R......p",
    "................p",
    "................p",
    "................p",
];

fn letter(standing: &Standing) -> char {
    match standing {
        Standing::Pending => 'p',
        Standing::Blocked { .. } => 'b',
        Standing::Applying { slot: Slot::Rests { .. }, .. } => 'r',
        Standing::Applying { slot: Slot::Wants, .. } => 'w',
        Standing::Applying { doing: Doing::Call, .. } => 'c',
        Standing::Applying { doing: Doing::Apply, .. } => 'a',
        Standing::Suspended { .. } => 'h',
        Standing::Waiting { .. } => 'o',
        Standing::Ready { .. } => 'R',
        Standing::Failed { .. } => 'F',
        Standing::TimedOut { .. } => 'T',
        Standing::Skipped { .. } => 'S',
        Standing::LeftOut { .. } => 'L',
        Standing::Terminated { .. } => 'X',
    }
}

#[test]
fn every_move_leads_where_the_table_says_or_is_refused() {
    for (standing, line) in standings().into_iter().zip(TABLE) {
        for (event, expected) in moves().into_iter().zip(line.chars()) {
            let what = format!("{standing:?} and {event:?}");
            match standing.clone().apply(event) {
                Ok(next) => assert_eq!(letter(&next), expected, "{what}"),
                Err(refused) => {
                    assert_eq!(expected, '.', "{what}");
                    assert_eq!((refused.what, refused.state), ("node", standing.word()));
                }
            }
        }
    }
}

#[test]
fn a_standing_is_ahead_running_done_or_lost_and_says_why() {
    for standing in standings() {
        let kinds = [standing.is_ahead(), standing.is_running(), standing.is_done(), standing.is_lost()];
        assert_eq!(kinds.iter().filter(|is| **is).count(), 1, "{standing:?}");
        let text = serde_json::to_string(&standing).unwrap();
        assert_eq!(serde_json::from_str::<Standing>(&text).unwrap(), standing);
        assert!(!standing.is_lost() || standing.reason() == "x");
    }
    let tried = Standing::Applying {
        doing: Doing::Apply,
        slot: Slot::Wants,
        trouble: Some("connection refused".into()),
    };
    assert_eq!(tried.reason(), "connection refused; it is tried again");
}

#[test]
fn the_trouble_of_a_try_is_told_until_the_next_part_begins() {
    let stumbled = applying(Doing::Call, Slot::Has)
        .apply(Move::Stumble { why: "no route".into(), until: later() })
        .and_then(|standing| standing.apply(Move::Again))
        .unwrap();
    assert_eq!(stumbled.reason(), "no route; it is tried again");
    assert_eq!(stumbled.apply(Move::Begin(Doing::Apply)).unwrap().reason(), "");
}
