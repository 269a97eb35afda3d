//! The drawing of a graph: what waits for what, and how each node stands by colour, shape and word. The list beside
//! it says the same to who cannot see it.

use askama::Template;
use askama::filters::HtmlSafe;

use super::layers::{Edge, Layers, NODE_HEIGHT, NODE_WIDTH, Point};
use super::parts::Status;

/// Graphs with more nodes are listed only: nobody finds anything in such a drawing.
const NODES_MAX: usize = 120;
/// What fits into a node of its name, in characters.
const NAME_CHARS_MAX: usize = 20;
/// Nodes' corners, where they are not round.
const CORNER: i32 = 6;

/// A node to be drawn.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) name: String,
    /// Absent where nobody says how it stands.
    pub(super) status: Option<Status>,
    /// Said after the status.
    pub(super) note: Option<String>,
    /// The numbers of nodes that it waits for.
    pub(super) needs: Vec<usize>,
    /// Of those that it waits for however they end.
    pub(super) after: Vec<usize>,
    /// Steps have round ends.
    pub(super) is_step: bool,
    /// Whether an earlier result stands in.
    pub(super) is_reused: bool,
}

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
    word: String,
    tone: &'static str,
    is_reused: bool,
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
    pub(super) fn new(label: String, nodes: &[Node]) -> Option<Self> {
        if !(2..=NODES_MAX).contains(&nodes.len()) {
            return None;
        }
        let (mut edges, mut loose) = (Vec::new(), Vec::new());
        for (to, node) in nodes.iter().enumerate() {
            edges.extend(node.needs.iter().map(|from| Edge { from: *from, to }));
            loose.extend(node.after.iter().map(|from| Edge { from: *from, to }));
        }
        edges.extend(&loose);
        let layers = Layers::new(nodes.len(), &edges);
        Some(Self {
            label,
            width: layers.width,
            height: layers.height,
            node_width: NODE_WIDTH,
            node_height: NODE_HEIGHT,
            nodes: nodes.iter().zip(&layers.nodes).map(|(node, corner)| drawn(node, *corner)).collect(),
            lines: layers.edges.iter().map(|(edge, points)| line(points, loose.contains(edge))).collect(),
        })
    }
}

fn drawn(node: &Node, (x, y): Point) -> NodeBox {
    let tone = node.status.as_ref().map_or("off", Status::tone);
    let mut name: String = node.name.chars().take(NAME_CHARS_MAX).collect();
    if name.len() < node.name.len() {
        name.pop();
        name.push('…');
    }
    let words = [node.status.as_ref().map(Status::word), node.note.as_deref()];
    NodeBox {
        name,
        whole_name: node.name.clone(),
        word: words.into_iter().flatten().collect::<Vec<_>>().join(" · "),
        tone,
        is_reused: node.is_reused,
        mark: mark(tone, (x + 20, y + NODE_HEIGHT / 2)),
        x,
        y,
        text_x: x + 38,
        name_y: y + 20,
        word_y: y + 38,
        corner: if node.is_step { NODE_HEIGHT / 2 } else { CORNER },
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
    use super::super::parts::Tone;
    use super::*;

    fn node(name: &str, needs: &[usize]) -> Node {
        Node {
            name: name.to_owned(),
            status: Some(Status::told(Tone::Good, "ready")),
            needs: needs.to_vec(),
            ..Node::default()
        }
    }

    #[test]
    fn a_drawing_shows_every_node_and_what_it_waits_for() {
        let held = Some(Status::told(Tone::Waiting, "held"));
        let later = Node { status: held, note: Some("<3 s>".to_owned()), ..node(&"x".repeat(300), &[0]) };
        let reused = Node { is_reused: true, ..node("<web>", &[]) };
        let drawing = Drawing::new("The <graph>".to_owned(), &[reused, later]).unwrap();
        assert_eq!((drawing.nodes.len(), drawing.lines.len()), (2, 1));
        let html = drawing.to_string();
        for text in
            ["class=\"node good reused\"", "class=\"node waiting\"", "&#60;web&#62;", "held · &#60;3 s&#62;"]
        {
            assert!(html.contains(text), "{text}: {html}");
        }
        assert!(!html.contains("<web>") && !html.contains(" style="), "{html}");
        assert!(html.contains(&format!("{}…", "x".repeat(NAME_CHARS_MAX - 1))), "{html}");
    }

    #[test]
    fn one_node_needs_no_drawing_and_too_many_have_none() {
        let nodes: Vec<Node> = (0..=NODES_MAX).map(|at| node(&format!("n{at}"), &[])).collect();
        for (count, is_drawn) in
            [(0, false), (1, false), (2, true), (NODES_MAX, true), (NODES_MAX + 1, false)]
        {
            assert_eq!(Drawing::new(String::new(), &nodes[..count]).is_some(), is_drawn, "{count}");
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
