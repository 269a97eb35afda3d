//! The drawing of a deployment's graph: what waits for what, and how each node stands by colour, shape and word. The
//! list beside it says the same to who cannot see it.

use std::collections::HashMap;

use askama::Template;
use askama::filters::HtmlSafe;

use super::layers::{Edge, Layers, NODE_HEIGHT, NODE_WIDTH, Point};
use super::nodes::NodeRow;
use crate::pages::parts::Status;

/// Graphs with more nodes are listed only: nobody finds anything in such a drawing.
const NODES_MAX: usize = 120;
/// What fits into a node of its name, in characters.
const NAME_CHARS_MAX: usize = 20;
/// Nodes' corners: those of steps are round.
const CORNER: i32 = 6;

/// The drawing.
#[derive(Template)]
#[template(path = "part/graph.html")]
pub(super) struct Drawing {
    label: String,
    width: i32,
    height: i32,
    node_width: i32,
    node_height: i32,
    nodes: Vec<NodeBox>,
    lines: Vec<Line>,
}

impl HtmlSafe for Drawing {}

/// A node as it is drawn.
struct NodeBox {
    name: String,
    whole_name: String,
    word: &'static str,
    tone: &'static str,
    mark: String,
    x: i32,
    y: i32,
    text_x: i32,
    name_y: i32,
    word_y: i32,
    corner: i32,
}

/// An edge as it is drawn.
struct Line {
    path: String,
    tip: String,
    /// Whether what follows starts however this ended.
    is_loose: bool,
}

impl Drawing {
    /// The drawing of some nodes; `None` of none, of one alone and of too many.
    pub(super) fn new(label: String, rows: &[NodeRow]) -> Option<Self> {
        if !(2..=NODES_MAX).contains(&rows.len()) {
            return None;
        }
        let numbers: HashMap<&str, usize> = rows.iter().map(|row| row.name.as_str()).zip(0..).collect();
        let (mut edges, mut loose) = (Vec::new(), Vec::new());
        for (to, row) in rows.iter().enumerate() {
            let number = |name: &String| numbers.get(name.as_str()).copied();
            edges.extend(row.needs.iter().filter_map(number).map(|from| Edge { from, to }));
            loose.extend(row.after.iter().filter_map(number).map(|from| Edge { from, to }));
        }
        edges.extend(&loose);
        let layers = Layers::new(rows.len(), &edges);
        Some(Self {
            label,
            width: layers.width,
            height: layers.height,
            node_width: NODE_WIDTH,
            node_height: NODE_HEIGHT,
            nodes: rows.iter().zip(&layers.nodes).map(|(row, corner)| drawn(row, *corner)).collect(),
            lines: layers.edges.iter().map(|(edge, points)| line(points, loose.contains(edge))).collect(),
        })
    }
}

fn drawn(row: &NodeRow, (x, y): Point) -> NodeBox {
    let tone = row.status.as_ref().map_or("off", Status::tone);
    let mut name: String = row.name.chars().take(NAME_CHARS_MAX).collect();
    if name.len() < row.name.len() {
        name.pop();
        name.push('…');
    }
    NodeBox {
        name,
        whole_name: row.name.clone(),
        word: row.status.as_ref().map_or("", Status::word),
        tone,
        mark: mark(tone, (x + 20, y + NODE_HEIGHT / 2)),
        x,
        y,
        text_x: x + 38,
        name_y: y + 20,
        word_y: y + 38,
        corner: if row.is_step { NODE_HEIGHT / 2 } else { CORNER },
    }
}

/// The shape that a tone has everywhere.
fn mark(tone: &str, (x, y): Point) -> String {
    match tone {
        "good" => format!("M{} {y}a6 6 0 1 0 12 0a6 6 0 1 0 -12 0z", x - 6),
        "busy" => format!("M{x} {}a6 6 0 1 1 -6 6", y - 6),
        "waiting" => format!("M{} {}h11v11h-11z", x - 5, y - 5),
        "bad" => format!("M{x} {}l7 13h-14z", y - 7),
        _ => format!("M{} {}h12v3h-12z", x - 6, y - 1),
    }
}

/// A line through points: level through nodes' layers, bent between them.
fn line(points: &[Point], is_loose: bool) -> Line {
    let mut path = String::new();
    for (place, pair) in points.windows(2).enumerate() {
        let ((from_x, from_y), (to_x, to_y)) = (pair[0], pair[1]);
        let bend = (to_x - from_x) / 2;
        let piece = match place {
            0 => {
                format!("M{from_x} {from_y}C{} {from_y} {} {to_y} {to_x} {to_y}", from_x + bend, to_x - bend)
            }
            // Through a layer.
            _ if to_x - from_x == NODE_WIDTH => format!("H{to_x}"),
            _ => format!("C{} {from_y} {} {to_y} {to_x} {to_y}", from_x + bend, to_x - bend),
        };
        path.push_str(&piece);
    }
    let tip = points.last().map(|(x, y)| format!("M{x} {y}l-9 -5v10z")).unwrap_or_default();
    Line { path, tip, is_loose }
}

#[cfg(test)]
mod tests {
    use super::super::nodes::row_of_test;
    use super::*;

    #[test]
    fn a_drawing_shows_every_node_and_what_it_waits_for() {
        let rows =
            [row_of_test("<web>", &[], "ready"), row_of_test(&"x".repeat(300), &["<web>"], "suspended")];
        let drawing = Drawing::new("The <graph>".to_owned(), &rows).unwrap();
        assert_eq!((drawing.nodes.len(), drawing.lines.len()), (2, 1));
        let html = drawing.to_string();
        assert!(html.contains("class=\"node good\"") && html.contains("class=\"node waiting\""), "{html}");
        assert!(
            html.contains("&#60;web&#62;") && !html.contains("<web>") && !html.contains(" style="),
            "{html}"
        );
        assert!(html.contains(&format!("{}…", "x".repeat(NAME_CHARS_MAX - 1))), "{html}");
    }

    #[test]
    fn one_node_needs_no_drawing_and_too_many_have_none() {
        let rows: Vec<NodeRow> =
            (0..=NODES_MAX).map(|at| row_of_test(&format!("n{at}"), &[], "ready")).collect();
        for (count, is_drawn) in
            [(0, false), (1, false), (2, true), (NODES_MAX, true), (NODES_MAX + 1, false)]
        {
            assert_eq!(Drawing::new(String::new(), &rows[..count]).is_some(), is_drawn, "{count}");
        }
    }

    #[test]
    fn a_line_is_level_through_layers() {
        let drawn = line(&[(10, 5), (70, 25), (70 + NODE_WIDTH, 25), (400, 45)], true);
        assert_eq!(drawn.path, "M10 5C40 5 40 25 70 25H290C345 25 345 45 400 45");
        assert_eq!(drawn.tip, "M400 45l-9 -5v10z");
        assert!(drawn.is_loose);
    }
}
