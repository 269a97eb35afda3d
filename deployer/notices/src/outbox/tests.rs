//! How notices are put together, and that each is sent whatever happens.

use proptest::prelude::*;
use slipway_records::NoticeState;
use slipway_types::id::IncidentId;

use super::*;

fn notice(folded_into: Option<NoticeId>) -> NoticeDelivery {
    NoticeDelivery {
        id: NoticeId::new(),
        channel: "ops".parse().unwrap(),
        once: "x".into(),
        incident_id: IncidentId::new(),
        body: serde_json::json!({}),
        state: NoticeState::Pending,
        folded_into,
        attempts: 0,
        next_at: None,
        answer: None,
        created_at: Utc::now(),
        ended_at: None,
    }
}

#[test]
fn what_is_more_than_the_limit_goes_in_one_message() {
    let sizes = |count: usize, room: usize| -> Vec<usize> {
        let pending = (0..count).map(|_| notice(None)).collect();
        parcels(pending, room).iter().map(|parcel| parcel.notices.len()).collect()
    };
    assert_eq!(sizes(2, 3), [1, 1]);
    assert_eq!(sizes(3, 3), [1, 1, 1]);
    assert_eq!(sizes(15, 3), [1, 1, 13]);
    assert_eq!(sizes(15, 1), [15]);
    assert_eq!(sizes(1, 1), [1]);
}

proptest! {
    #[test]
    fn every_notice_goes_once_and_what_went_together_does_again(
        groups in proptest::collection::vec(0..4_usize, 0..30),
        room in 1..6_usize,
    ) {
        let ids = [NoticeId::new(), NoticeId::new(), NoticeId::new()];
        let pending: Vec<_> = groups.iter().map(|group| notice(ids.get(*group).copied())).collect();
        let sent = parcels(pending.clone(), room);
        prop_assert!(sent.len() <= room);
        let mut seen: Vec<NoticeId> = sent.iter().flat_map(Parcel::ids).collect();
        seen.sort_unstable();
        let count = seen.len();
        seen.dedup();
        prop_assert_eq!(seen.len(), count);
        let together = pending.iter().filter_map(|notice| notice.folded_into);
        let known: std::collections::BTreeSet<NoticeId> = together.collect();
        if known.len() < room {
            prop_assert_eq!(count, pending.len());
        }
        for parcel in &sent {
            let as_before = parcel.notices.iter().all(|notice| notice.folded_into == Some(parcel.id));
            prop_assert!(as_before || parcel.notices.iter().all(|notice| notice.folded_into.is_none()));
            prop_assert_eq!(parcel.is_new, !as_before && parcel.notices.len() > 1);
            if as_before {
                let all = pending.iter().filter(|notice| notice.folded_into == Some(parcel.id)).count();
                prop_assert_eq!(all, parcel.notices.len());
            }
        }
    }
}
