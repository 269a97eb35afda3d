//! The statement of one selection; every value is bound.

use chrono::{DateTime, Utc};
use slipway_records::SelectionPage;
use slipway_types::selection::{SelectionOrder, Span};
use sqlx::postgres::PgArguments;
use sqlx::query::QueryScalar;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

/// What a bundle must be, as its row tells.
pub(super) enum Test {
    /// That version.
    Is(Uuid),
    /// Of a commit that begins so.
    Commit(String),
    /// Published then or later.
    Since(DateTime<Utc>),
    /// Published before.
    Before(DateTime<Utc>),
    /// In one of these stretches of sort keys.
    Spans(Vec<Span>),
    /// Having all of these facets.
    All(Vec<i64>),
    /// Having at least one of them.
    Any(Vec<i64>),
    /// Having none of them.
    NoneOf(Vec<i64>),
    /// Held by a check.
    Held,
    /// Held by none.
    NotHeld,
    /// Nothing is that.
    Never,
}

/// The tests of one condition: all must hold or, if it is to fail, not all.
pub(super) struct Group {
    pub(super) failing: bool,
    pub(super) tests: Vec<Test>,
}

/// How bundles that pass are found.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// In order, from the first on, until there are enough.
    Walk,
    /// Among so many from the first on.
    Window(i64),
    /// All of them at once, then ordered. The planner would rather walk, and then walks far.
    Gather,
}

pub(super) struct Statement {
    text: QueryBuilder<Postgres>,
}

/// Above every digit that continues a commit.
const ABOVE_DIGITS: char = 'g';

/// Bundles that a check holds; the words are those of its indexes.
const HELD: &str =
    "select h.version_id from declared_check h where h.state <> 'passed' and h.waived_at is null";

impl Statement {
    /// Identities of bundles that pass, a page of them.
    pub(super) fn list(
        way: Way,
        application: Uuid,
        groups: &[Group],
        page: &SelectionPage,
        limit: i64,
    ) -> Self {
        // No two bundles of an application have one sort key.
        let order = match page.order {
            SelectionOrder::Precedence => " order by d.sort_key desc",
            SelectionOrder::Newest => " order by d.version_id desc",
        };
        let mut statement = Self { text: QueryBuilder::new("") };
        match way {
            Way::Walk => {
                statement.text.push("select d.version_id from bundle_card d where d.application_id = ");
                statement.text.push_bind(application);
                statement.groups(groups);
                statement.after(page);
            }
            Way::Gather => {
                statement.text.push("with d as materialized (select d.version_id, d.sort_key");
                statement.text.push(" from bundle_card d where d.application_id = ").push_bind(application);
                statement.groups(groups);
                statement.after(page);
                statement.text.push(") select d.version_id from d");
            }
            Way::Window(rows) => {
                statement.text.push("select d.version_id from (select * from bundle_card d");
                statement.text.push(" where d.application_id = ").push_bind(application);
                statement.after(page);
                statement.bounds(groups);
                statement.text.push(order).push(" limit ").push_bind(rows).push(") d where true");
                statement.groups(groups);
            }
        }
        statement.text.push(order).push(" limit ").push_bind(limit);
        statement
    }

    /// How many bundles pass, counted up to a limit.
    pub(super) fn count(application: Uuid, groups: &[Group], at_most: i64) -> Self {
        let text = QueryBuilder::new("select count(*) from (select 1 from bundle_card d");
        let mut statement = Self { text };
        statement.text.push(" where d.application_id = ").push_bind(application);
        statement.groups(groups);
        statement.text.push(" limit ").push_bind(at_most).push(") found");
        statement
    }

    /// The statement, planned for its values: what is rare among them decides.
    pub(super) fn query<O>(&mut self) -> QueryScalar<'_, Postgres, O, PgArguments>
    where
        (O,): for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
    {
        self.text.build_query_scalar().persistent(false)
    }

    fn after(&mut self, page: &SelectionPage) {
        let Some(after) = &page.after else { return };
        match page.order {
            SelectionOrder::Precedence => {
                self.text.push(" and d.sort_key < ").push_bind(after.version.sort_key());
            }
            SelectionOrder::Newest => {
                self.text.push(" and d.version_id < ").push_bind(after.id.as_uuid());
            }
        }
    }

    /// How far the range reaches altogether, so that a window begins in it.
    fn bounds(&mut self, groups: &[Group]) {
        for group in groups.iter().filter(|group| !group.failing) {
            let [Test::Spans(spans)] = &group.tests[..] else { continue };
            let (Some(first), Some(last)) = (spans.first(), spans.last()) else { continue };
            self.text.push(" and d.sort_key >= ").push_bind(first.from.clone());
            if let Some(below) = &last.below {
                self.text.push(" and d.sort_key < ").push_bind(below.clone());
            }
        }
    }

    fn groups(&mut self, groups: &[Group]) {
        self.bounds(groups);
        for Group { failing, tests } in groups {
            if *failing {
                self.text.push(" and not (true");
            }
            for test in tests {
                self.text.push(" and ");
                self.test(test);
            }
            if *failing {
                self.text.push(")");
            }
        }
    }

    fn test(&mut self, test: &Test) {
        let text = &mut self.text;
        match test {
            Test::Is(version) => {
                text.push("d.version_id = ").push_bind(*version);
            }
            Test::Commit(prefix) => {
                text.push("(d.commit_id >= ").push_bind(prefix.clone());
                text.push(" and d.commit_id < ").push_bind(format!("{prefix}{ABOVE_DIGITS}")).push(")");
            }
            Test::Since(time) => {
                text.push("d.created_at >= ").push_bind(*time);
            }
            Test::Before(time) => {
                text.push("d.created_at < ").push_bind(*time);
            }
            Test::Spans(spans) => self.spans(spans),
            Test::All(facets) => {
                text.push("d.facets @> ").push_bind(facets.clone());
            }
            Test::Any(facets) => {
                text.push("d.facets && ").push_bind(facets.clone());
            }
            Test::NoneOf(facets) => {
                text.push("not d.facets && ").push_bind(facets.clone());
            }
            Test::Held => {
                text.push("d.version_id in (").push(HELD).push(" and h.application_id = d.application_id)");
            }
            Test::NotHeld => {
                text.push("not exists (").push(HELD).push(" and h.version_id = d.version_id)");
            }
            Test::Never => {
                text.push("false");
            }
        }
    }

    fn spans(&mut self, spans: &[Span]) {
        self.text.push("(false");
        for Span { from, below } in spans {
            self.text.push(" or (d.sort_key >= ").push_bind(from.clone());
            if let Some(below) = below {
                self.text.push(" and d.sort_key < ").push_bind(below.clone());
            }
            self.text.push(")");
        }
        self.text.push(")");
    }
}
