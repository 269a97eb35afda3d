use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn options(polls_per_second: u32) -> LadderOptions {
    LadderOptions { polls_per_second, ..LadderOptions::default() }
}

/// Numbers that look like hashes.
fn hash(number: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(number);
    hasher.finish()
}

/// A ladder with the polls that were made; each is answered at once.
struct Run {
    ladder: Ladder,
    climbers: Vec<Climber>,
    now: Duration,
    polls: Vec<(Duration, Climber)>,
}

impl Run {
    fn new(count: u64, options: LadderOptions) -> Self {
        let mut ladder = Ladder::new(options);
        let climbers = (0..count).map(|number| ladder.add(hash(number), Duration::ZERO)).collect();
        Self { ladder, climbers, now: Duration::ZERO, polls: Vec::new() }
    }

    /// Until then; what a poll comes to is asked for each.
    fn until(&mut self, end: Duration, mut polled: impl FnMut(Climber, Duration) -> Polled) {
        loop {
            match self.ladder.next(self.now) {
                Next::Poll(climber) => {
                    self.polls.push((self.now, climber));
                    self.ladder.polled(climber, polled(climber, self.now), self.now);
                }
                Next::At(at) if at <= end => self.now = at,
                Next::At(_) | Next::Nothing => {
                    self.now = end;
                    return;
                }
            }
        }
    }

    fn calm_until(&mut self, end: Duration) {
        self.until(end, |_, _| Polled::Unchanged);
    }

    fn are_settled(&self) -> bool {
        self.climbers.iter().all(|climber| self.ladder.is_settled(*climber))
    }

    /// The most polls of any second.
    fn most_in_a_second(&self) -> usize {
        let times = || self.polls.iter().map(|(at, _)| *at);
        let mut ended = times().peekable();
        let (mut open, mut most) = (0, 0);
        for at in times() {
            open += 1;
            while ended.next_if(|first| *first + SECOND <= at).is_some() {
                open -= 1;
            }
            most = most.max(open);
        }
        most
    }

    fn times_of(&self, climber: Climber) -> Vec<Duration> {
        self.polls.iter().filter(|(_, polled)| *polled == climber).map(|(at, _)| *at).collect()
    }
}

#[test]
fn a_cluster_alone_is_polled_three_times_a_rung_and_settles_in_time() {
    for number in 0..200 {
        let mut run = Run::new(0, options(1_500));
        let climber = run.ladder.add(hash(number), Duration::ZERO);
        run.climbers.push(climber);
        run.calm_until(seconds(2_000));
        let times = run.times_of(climber);
        assert!(times[0] < seconds(5));
        let mut pauses = times.windows(2).map(|pair| pair[1].checked_sub(pair[0]).unwrap());
        // The first poll of the first rung came by its phase.
        let expected = PAUSES_S.iter().flat_map(|pause| [seconds(*pause); 3]).skip(1);
        for (pause, rung) in pauses.by_ref().zip(expected.clone()) {
            assert!(pause <= rung && pause >= rung * 9 / 10, "{pause:?} on the rung of {rung:?}");
        }
        let settled = times[expected.count() - 3];
        assert!(settled <= seconds(945) && settled >= seconds(840), "{settled:?}");
        assert!(pauses.all(|pause| pause <= seconds(300) && pause >= seconds(270)));
    }
}

#[test]
fn all_settle_within_sixteen_minutes_though_the_limit_holds_them_up() {
    // As crowded as 100,000 clusters at 1,500 a second.
    let mut run = Run::new(2_000, options(30));
    run.calm_until(seconds(800));
    assert!(!run.are_settled());
    run.calm_until(seconds(16 * 60));
    assert!(run.are_settled());
    assert!(run.most_in_a_second() <= 30);
}

#[test]
fn a_change_leads_back_to_the_first_rung() {
    let mut run = Run::new(1, options(100));
    run.calm_until(seconds(1_000));
    assert!(run.are_settled());
    let mut changes = 1;
    run.until(seconds(1_301), |_, _| match std::mem::take(&mut changes) {
        1 => Polled::Changed,
        _ => Polled::Unchanged,
    });
    assert_eq!(changes, 0, "it was polled");
    assert!(!run.are_settled());
    run.calm_until(seconds(1_301 + 945));
    assert!(run.are_settled());
}

#[test]
fn whoever_says_that_something_is_not_good_has_it_polled_soon() {
    let mut run = Run::new(1, options(100));
    let climber = run.climbers[0];
    run.calm_until(seconds(1_000));
    let before = run.polls.len();
    run.ladder.hasten(climber, run.now);
    assert_eq!(run.ladder.pause(climber), Some(seconds(5)));
    run.calm_until(seconds(1_010));
    assert!(run.polls.len() >= before + 2);
    // Saying it again and again does not put it off, nor have it polled more often.
    for second in 1_010..1_060 {
        run.ladder.hasten(climber, run.now);
        run.calm_until(seconds(second));
    }
    let polls = run.polls.len() - before;
    assert!((11..=14).contains(&polls), "{polls} in a minute");
}

#[test]
fn a_change_that_is_told_while_a_poll_is_under_way_is_not_lost() {
    let mut ladder = Ladder::new(options(100));
    let climber = ladder.add(0, Duration::ZERO);
    assert_eq!(ladder.next(Duration::ZERO), Next::Poll(climber));
    ladder.hasten(climber, seconds(700));
    assert_eq!(ladder.next(seconds(700)), Next::Nothing, "it is under way");
    ladder.polled(climber, Polled::Unchanged, seconds(700));
    assert_eq!(ladder.pause(climber), Some(seconds(5)));
    let Next::At(at) = ladder.next(seconds(700)) else { panic!("nothing is planned") };
    assert!(at <= seconds(705));
}

#[test]
fn one_that_is_away_is_tried_less_and_less_and_begins_anew_when_it_is_back() {
    let mut ladder = Ladder::new(options(100));
    let climber = ladder.add(0, Duration::ZERO);
    let (mut now, mut pauses, mut turned) = (Duration::ZERO, Vec::new(), Vec::new());
    for _ in 0..12 {
        assert_eq!(ladder.next(now), Next::Poll(climber));
        turned.push(ladder.polled(climber, Polled::Unreachable, now));
        let Next::At(at) = ladder.next(now) else { panic!("nothing is planned") };
        pauses.push(at.checked_sub(now).unwrap());
        now = at;
    }
    let expired: Vec<usize> = (0..12).filter(|at| turned[*at] == Some(Turned::Expired)).collect();
    assert_eq!(expired, [2], "with the third, and once");
    assert!(ladder.is_expired(climber));
    for (pause, whole) in pauses.iter().zip([5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900]) {
        let whole = seconds(whole);
        assert!(*pause <= whole && *pause >= whole * 9 / 10, "{pauses:?}");
    }
    assert_eq!(ladder.next(now), Next::Poll(climber));
    assert_eq!(ladder.polled(climber, Polled::Unchanged, now), Some(Turned::Returned));
    assert!(!ladder.is_expired(climber));
    assert_eq!(ladder.pause(climber), Some(seconds(5)));
}

#[test]
fn one_that_was_forgotten_is_polled_no_more_and_its_place_is_used_again() {
    let mut ladder = Ladder::new(options(100));
    let first = ladder.add(0, Duration::ZERO);
    let second = ladder.add(1, Duration::ZERO);
    assert_eq!(ladder.next(Duration::ZERO), Next::Poll(first));
    ladder.remove(first);
    assert_eq!(ladder.polled(first, Polled::Changed, Duration::ZERO), None);
    assert_eq!(ladder.next(seconds(1)), Next::Poll(second));
    ladder.remove(second);
    assert_eq!(ladder.next(seconds(1)), Next::Nothing);
    assert!(ladder.is_empty());
    let third = ladder.add(2, seconds(1));
    assert!([first, second].contains(&third));
    assert_eq!(ladder.len(), 1);
}

#[test]
fn nobody_starves_where_all_change_all_the_time() {
    let mut run = Run::new(500, options(20));
    run.until(seconds(600), |_, _| Polled::Changed);
    assert!(run.most_in_a_second() <= 20);
    let mut counts: BTreeMap<Climber, usize> = BTreeMap::new();
    for (_, climber) in &run.polls {
        *counts.entry(*climber).or_default() += 1;
    }
    let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
    // Pauses differ a little from each other, so that over the time one may be a turn ahead and one behind.
    assert!(counts.len() == 500 && most - least <= 2, "{least} to {most}");
    assert!(run.polls.len() >= 600 * 19, "the limit is used: {}", run.polls.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_the_limit_holds_and_everybody_is_polled_in_time(
        count in 1_u64..40,
        per_second in 1_u32..30,
        luck in proptest::collection::vec(0_u8..20, 1..64),
        hastened in proptest::collection::vec((1_u64..300, 0_usize..40), 0..8),
    ) {
        let mut run = Run::new(count, options(per_second));
        let mut times = 0;
        let mut next = |_: Climber, _: Duration| {
            times += 1;
            match luck[times % luck.len()] {
                0 => Polled::Changed,
                1 => Polled::Unreachable,
                _ => Polled::Unchanged,
            }
        };
        for (pause, who) in hastened {
            let end = run.now + seconds(pause);
            run.until(end, &mut next);
            let who = run.climbers[who % run.climbers.len()];
            run.ladder.hasten(who, run.now);
        }
        let end = run.now + seconds(1_200);
        run.until(end, &mut next);
        prop_assert!(run.most_in_a_second() <= usize::try_from(per_second).unwrap());
        // Before one that is due there is at most one poll of each of the others.
        let queue = Duration::from_millis(count * 1_050 / u64::from(per_second)) + SECOND;
        let longest = seconds(if luck.contains(&1) { 900 } else { 300 }) + queue;
        for climber in &run.climbers {
            let polled = run.times_of(*climber);
            prop_assert!(polled.first().is_some_and(|first| *first <= seconds(5) + queue));
            prop_assert!(polled.windows(2).all(|pair| pair[1].checked_sub(pair[0]).unwrap() <= longest));
            prop_assert!(polled.last().is_some_and(|last| end.checked_sub(*last).unwrap() <= longest));
        }
    }
}
