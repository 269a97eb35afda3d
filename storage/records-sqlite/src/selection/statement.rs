//! The statement of one selection. Names of indexes stand in it, since the planner knows too little of
//! what is rare to choose them; every value is bound.

use slipway_records::SelectionCursor;
use slipway_types::id::{ApplicationId, VersionId};
use slipway_types::selection::{SelectionOrder, Span};
use sqlx::query::QueryScalar;
use sqlx::sqlite::SqliteArguments;
use sqlx::{QueryBuilder, Sqlite};

/// What a bundle must be, as the database can tell.
pub(super) enum Test {
    /// That version.
    Is(VersionId),
    /// Of a commit that begins so.
    Commit(ApplicationId, String),
    /// Published at these milliseconds or later.
    Since(i64),
    /// Published before.
    Before(i64),
    /// In one of these stretches of sort keys.
    Spans(Vec<Span>),
    /// No pre-release.
    Release,
    /// Having one of these facets.
    AnyFacet(Vec<i64>),
    /// Having none of these facets.
    NoFacet(Vec<i64>),
    /// Having one of these pairs of a key.
    Labelled { key: String, among: Vec<i64> },
    /// Having the key, and none of these pairs.
    Present { key: String, except: Vec<i64> },
    /// Having none of these pairs of a key.
    NotLabelled { key: String, among: Vec<i64> },
    /// Held by a check.
    Held(ApplicationId),
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

/// What bundles are gone through, as `d`.
pub(super) enum Source {
    /// That one.
    Version(ApplicationId, VersionId),
    /// Those of commits that begin so.
    Commit(ApplicationId, String),
    /// Those with one of these facets; of each bundle there is at most one in them.
    Facets(Vec<i64>),
    /// Those with both of these facets: the first is gone through beside the second.
    Both(i64, i64),
    /// Those that a check holds.
    Held(ApplicationId),
    /// All, the highest first.
    Highest(ApplicationId),
    /// All, the newest first.
    Newest(ApplicationId),
    /// So many, the newest.
    Window(ApplicationId, u32),
}

pub(super) struct Statement {
    text: QueryBuilder<Sqlite>,
    /// The column with the bundle's identity.
    id: &'static str,
}

/// Above every digit that continues a commit.
const ABOVE_DIGITS: char = 'g';

/// The most facets whose lists are merged; a statement may have some hundred parts.
const MERGED_MAX: usize = 100;

/// Bundles that a check holds; the words are those of its indexes.
const HELD: &str =
    "select h.version_id from declared_check h where h.state <> 'passed' and h.waived_at is null";

impl Statement {
    /// Identities of bundles that pass, a page of them.
    pub(super) fn list(
        source: &Source,
        groups: &[Group],
        order: SelectionOrder,
        after: Option<&SelectionCursor>,
        limit: i64,
    ) -> Self {
        let id = source.id();
        if let (SelectionOrder::Precedence, Source::Facets(facets)) = (order, source)
            && (2..=MERGED_MAX).contains(&facets.len())
        {
            return Self::merge(source, groups, after, limit);
        }
        if let Source::Both(..) = source {
            return Self::both(source, groups, order, after, limit);
        }
        let mut statement = Self { text: QueryBuilder::new("select "), id };
        statement.text.push(id).push(" from ");
        statement.source(source, order, after);
        statement.groups(groups, source);
        if let Some(after) = after {
            statement.after(order, after);
        }
        // No two bundles of an application have one sort key.
        statement.text.push(match order {
            SelectionOrder::Precedence => " order by d.sort_key desc",
            SelectionOrder::Newest if id == "d.id" => " order by d.id desc",
            SelectionOrder::Newest => " order by d.version_id desc",
        });
        statement.text.push(" limit ").push_bind(limit);
        statement
    }

    /// The first of each facet, which lie in order, and of those the first: sorts few rows however many
    /// there are.
    fn merge(source: &Source, groups: &[Group], after: Option<&SelectionCursor>, limit: i64) -> Self {
        let text = QueryBuilder::new("select version_id from (");
        let mut statement = Self { text, id: source.id() };
        for (n, facet) in source.facets().iter().enumerate() {
            let union = if n == 0 { "" } else { " union all " };
            statement.text.push(union).push("select * from (select d.version_id, d.sort_key from ");
            statement.text.push("bundle_facet d where d.facet_id = ").push_bind(*facet);
            statement.groups(groups, source);
            if let Some(after) = after {
                statement.after(SelectionOrder::Precedence, after);
            }
            statement.text.push(" order by d.sort_key desc limit ").push_bind(limit).push(")");
        }
        statement.text.push(") order by sort_key desc limit ").push_bind(limit);
        statement
    }

    /// Those that are in two lists.
    fn both(
        source: &Source,
        groups: &[Group],
        order: SelectionOrder,
        after: Option<&SelectionCursor>,
        limit: i64,
    ) -> Self {
        let text = QueryBuilder::new("select version_id from (");
        let mut statement = Self { text, id: source.id() };
        let (most, by) = match order {
            SelectionOrder::Precedence => (limit, "sort_key"),
            // In the order of the lists the newest may come last.
            SelectionOrder::Newest => (-1, "version_id"),
        };
        statement.side_by_side(source, groups, (order, after), most);
        statement.text.push(") order by ").push(by).push(" desc limit ").push_bind(limit);
        statement
    }

    /// How many bundles pass, counted up to a limit.
    pub(super) fn count(source: &Source, groups: &[Group], at_most: i64) -> Self {
        if let Source::Both(..) = source {
            let text = QueryBuilder::new("select count(*) from (");
            let mut statement = Self { text, id: source.id() };
            statement.side_by_side(source, groups, (SelectionOrder::Precedence, None), at_most);
            statement.text.push(")");
            return statement;
        }
        let text = QueryBuilder::new("select count(*) from (select 1 from ");
        let mut statement = Self { text, id: source.id() };
        statement.source(source, SelectionOrder::Precedence, None);
        statement.groups(groups, source);
        statement.text.push(" limit ").push_bind(at_most).push(")");
        statement
    }

    /// The statement, made anew for each selection: there are too many to keep them prepared.
    pub(super) fn query<O>(&mut self) -> QueryScalar<'_, Sqlite, O, SqliteArguments>
    where
        (O,): for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>,
    {
        self.text.build_query_scalar().persistent(false)
    }

    fn source(&mut self, source: &Source, order: SelectionOrder, after: Option<&SelectionCursor>) {
        let text = &mut self.text;
        match source {
            Source::Version(application, version) => {
                text.push("version d where d.component = '' and d.application_id = ");
                text.push_bind(application.to_string()).push(" and d.id = ").push_bind(version.to_string());
            }
            Source::Held(application) => {
                text.push("version d where d.component = '' and d.application_id = ");
                text.push_bind(application.to_string()).push(" and d.id in (").push(HELD);
                text.push(" and h.application_id = ").push_bind(application.to_string()).push(")");
            }
            Source::Commit(application, prefix) => {
                text.push(
                    "version d indexed by bundle_commit where d.component = '' and d.application_id = ",
                );
                text.push_bind(application.to_string())
                    .push(" and d.commit_id >= ")
                    .push_bind(prefix.clone());
                text.push(" and d.commit_id < ").push_bind(format!("{prefix}{ABOVE_DIGITS}"));
            }
            Source::Facets(facets) => {
                text.push("bundle_facet d where d.facet_id in (");
                self.list_of(facets);
                self.text.push(")");
            }
            Source::Both(first, _) => {
                text.push("bundle_facet d where d.facet_id = ").push_bind(*first);
            }
            Source::Highest(application) => {
                text.push("version d indexed by bundle_precedence where d.component = ''");
                text.push(" and d.application_id = ").push_bind(application.to_string());
            }
            Source::Newest(application) => {
                text.push("version d indexed by bundle_newest where d.component = ''");
                text.push(" and d.application_id = ").push_bind(application.to_string());
            }
            Source::Window(application, rows) => {
                text.push("(select d.id, d.sort_key, d.created_at from version d indexed by bundle_newest");
                text.push(" where d.component = '' and d.application_id = ")
                    .push_bind(application.to_string());
                if let Some(after) = after {
                    self.after(order, after);
                }
                self.text
                    .push(" order by d.id desc limit ")
                    .push_bind(i64::from(*rows))
                    .push(") d where true");
            }
        }
    }

    /// What two lists have in common that passes. They lie in one order, in which SQLite reads each once beside the
    /// other: that takes less than half of looking up each row of one in the other.
    fn side_by_side(
        &mut self,
        source: &Source,
        groups: &[Group],
        (order, after): (SelectionOrder, Option<&SelectionCursor>),
        at_most: i64,
    ) {
        let Source::Both(_, second) = source else { return };
        self.text.push("select d.sort_key, d.version_id from ");
        self.source(source, order, None);
        self.groups(groups, source);
        if let Some(after) = after {
            self.after(order, after);
        }
        self.text.push(" intersect select d.sort_key, d.version_id from bundle_facet d where d.facet_id = ");
        self.text.push_bind(*second);
        for group in groups {
            self.bounds_of(group);
        }
        if let Some(after) = after {
            self.after(order, after);
        }
        self.text.push(" order by 1 desc, 2 limit ").push_bind(at_most);
    }

    fn after(&mut self, order: SelectionOrder, after: &SelectionCursor) {
        match order {
            SelectionOrder::Precedence => {
                self.text.push(" and d.sort_key < ").push_bind(after.version.sort_key());
            }
            SelectionOrder::Newest => {
                self.text.push(" and ").push(self.id).push(" < ").push_bind(after.id.to_string());
            }
        }
    }

    /// The tests, but for the one that the source answers by what it goes through.
    fn groups(&mut self, groups: &[Group], source: &Source) {
        for group in groups {
            let Group { failing, tests } = group;
            if *failing {
                self.text.push(" and not (true");
            }
            let is_met =
                |test: &&Test| matches!(test, Test::AnyFacet(any) if !failing && source.answers(any));
            for test in tests.iter().filter(|test| !is_met(test)) {
                self.text.push(" and ");
                self.test(test);
            }
            if *failing {
                self.text.push(")");
            }
            self.bounds_of(group);
        }
    }

    /// How far the spans reach altogether, so that an index is entered there.
    fn bounds_of(&mut self, group: &Group) {
        let (false, [Test::Spans(spans)]) = (group.failing, &group.tests[..]) else { return };
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return };
        self.text.push(" and d.sort_key >= ").push_bind(first.from.clone());
        if let Some(below) = &last.below {
            self.text.push(" and d.sort_key < ").push_bind(below.clone());
        }
    }

    fn test(&mut self, test: &Test) {
        let text = &mut self.text;
        match test {
            Test::Is(version) => {
                text.push(self.id).push(" = ").push_bind(version.to_string());
            }
            Test::Commit(application, prefix) => {
                text.push(self.id).push(" in (select c.id from version c indexed by bundle_commit");
                text.push(" where c.component = '' and c.application_id = ")
                    .push_bind(application.to_string());
                text.push(" and c.commit_id >= ").push_bind(prefix.clone());
                text.push(" and c.commit_id < ").push_bind(format!("{prefix}{ABOVE_DIGITS}")).push(")");
            }
            Test::Since(millis) => {
                text.push("d.created_at >= ").push_bind(*millis);
            }
            Test::Before(millis) => {
                text.push("d.created_at < ").push_bind(*millis);
            }
            Test::Spans(spans) => self.spans(spans),
            Test::Release => {
                text.push("substr(d.sort_key, -1) = '~'");
            }
            Test::AnyFacet(facets) => {
                text.push("(false");
                for facet in facets {
                    self.text.push(" or ");
                    self.facet(*facet);
                }
                self.text.push(")");
            }
            Test::NoFacet(facets) => {
                text.push("(true");
                for facet in facets {
                    self.text.push(" and not ");
                    self.facet(*facet);
                }
                self.text.push(")");
            }
            Test::Labelled { key, among } => self.label("exists", key, "in", among),
            Test::Present { key, except } => self.label("exists", key, "not in", except),
            Test::NotLabelled { key, among } => self.label("not exists", key, "in", among),
            // All that this source has are.
            Test::Held(application) => {
                text.push(self.id).push(" in (").push(HELD);
                text.push(" and h.application_id = ").push_bind(application.to_string()).push(")");
            }
            Test::NotHeld => {
                text.push("not exists (").push(HELD).push(" and h.version_id = ").push(self.id).push(")");
            }
            Test::Never => {
                text.push("false");
            }
        }
    }

    /// The unary plus keeps the planner from going through the spans one by one, which loses the order.
    fn spans(&mut self, spans: &[Span]) {
        self.text.push("(false");
        for Span { from, below } in spans {
            self.text.push(" or (+d.sort_key >= ").push_bind(from.clone());
            if let Some(below) = below {
                self.text.push(" and +d.sort_key < ").push_bind(below.clone());
            }
            self.text.push(")");
        }
        self.text.push(")");
    }

    /// Facets lie in order of precedence, as what is gone through mostly does: the next one is close by.
    fn facet(&mut self, facet: i64) {
        let text = &mut self.text;
        text.push("exists (select 1 from bundle_facet f where f.facet_id = ").push_bind(facet);
        text.push(" and f.sort_key = d.sort_key and f.version_id = ").push(self.id).push(")");
    }

    fn label(&mut self, exists: &'static str, key: &str, is_in: &'static str, pairs: &[i64]) {
        let text = &mut self.text;
        text.push(exists).push(" (select 1 from version_label l indexed by version_label_key");
        text.push(" where l.version_id = ").push(self.id).push(" and l.key = ").push_bind(key.to_owned());
        text.push(" and l.pair_id ").push(is_in).push(" (");
        self.list_of(pairs);
        self.text.push("))");
    }

    fn list_of(&mut self, ids: &[i64]) {
        let mut list = self.text.separated(", ");
        for id in ids {
            list.push_bind(*id);
        }
    }
}

impl Source {
    /// The facets that it goes through; none of other sources.
    fn facets(&self) -> &[i64] {
        if let Self::Facets(facets) = self { facets } else { &[] }
    }

    /// Whether all that it goes through has one of these facets.
    fn answers(&self, any: &[i64]) -> bool {
        match self {
            Self::Facets(facets) => any == facets,
            Self::Both(first, second) => matches!(any, [facet] if facet == first || facet == second),
            _ => false,
        }
    }

    fn id(&self) -> &'static str {
        match self {
            Self::Facets(_) | Self::Both(..) => "d.version_id",
            _ => "d.id",
        }
    }
}
