//! Where nodes and edges of a graph are drawn: in layers from left to right, each node right of all that it waits for.
//! Edges that a longer way stands for are left out; those over several layers have a place of their own in each, so
//! that they pass between nodes.

/// Width of a node, in units of the drawing.
pub(super) const NODE_WIDTH: i32 = 220;
/// Height of a node.
pub(super) const NODE_HEIGHT: i32 = 48;
/// Between two layers.
const LAYER_GAP: i32 = 48;
/// Between two nodes of a layer.
const NODE_GAP: i32 = 18;
/// What an edge that passes through a layer takes of it.
const PASS_HEIGHT: i32 = 10;
/// Around the whole.
const MARGIN: i32 = 12;
/// So often the order of layers is looked at from the left and from the right.
const SWEEPS: usize = 4;

/// A point of the drawing.
pub(super) type Point = (i32, i32);

/// An edge between two nodes, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
}

/// A graph as it is drawn.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Layers {
    pub(super) width: i32,
    pub(super) height: i32,
    /// The upper left corner of each node.
    pub(super) nodes: Vec<Point>,
    /// The edges that are drawn, each with the points it passes: out of a node, in and out of every layer between, into
    /// a node.
    pub(super) edges: Vec<(Edge, Vec<Point>)>,
}

/// A place in a layer: a node's, or one where an edge passes.
struct Slot {
    layer: usize,
    is_node: bool,
    /// Slots that it is joined to in the layer before and in the one behind.
    before: Vec<usize>,
    behind: Vec<usize>,
}

/// Nodes, their layers and the ways between them.
struct Draft {
    slots: Vec<Slot>,
    /// The slots of each edge, from node to node.
    ways: Vec<(Edge, Vec<usize>)>,
    layers: Vec<Vec<usize>>,
}

impl Layers {
    /// The drawing of `count` nodes. Edges on a circle are left out, though no graph that was frozen has one.
    pub(super) fn new(count: usize, edges: &[Edge]) -> Self {
        if count == 0 {
            return Self::default();
        }
        let mut draft = Draft::new(count, edges);
        draft.sort();
        draft.place(count)
    }
}

/// The layer of each node and the edges worth drawing.
fn layered(count: usize, edges: &[Edge]) -> (Vec<usize>, Vec<Edge>) {
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); count];
    for edge in edges.iter().filter(|edge| edge.from < count && edge.to < count) {
        if !before[edge.to].contains(&edge.from) {
            before[edge.to].push(edge.from);
        }
    }
    let mut layer: Vec<Option<usize>> = vec![None; count];
    let mut ancestors: Vec<Vec<bool>> = vec![vec![false; count]; count];
    // As many rounds as there are layers: in each, those whose needs all have a layer.
    loop {
        let known = layer.clone();
        let is_ready =
            |node: &usize| known[*node].is_none() && before[*node].iter().all(|need| known[*need].is_some());
        let ready: Vec<usize> = (0..count).filter(is_ready).collect();
        if ready.is_empty() {
            break;
        }
        for node in ready {
            let farthest = before[node].iter().filter_map(|need| known[*need]).max();
            layer[node] = Some(farthest.map_or(0, |farthest| farthest + 1));
            let mut above = vec![false; count];
            for need in &before[node] {
                above[*need] = true;
                for (seen, also) in above.iter_mut().zip(&ancestors[*need]) {
                    *seen |= *also;
                }
            }
            ancestors[node] = above;
        }
    }
    let mut drawn = Vec::new();
    for (to, needs) in before.iter().enumerate().filter(|(to, _)| layer[*to].is_some()) {
        let is_long = |from: &usize| needs.iter().any(|need| ancestors[*need][*from]);
        let kept = needs.iter().filter(|&from| !is_long(from));
        drawn.extend(kept.map(|from| Edge { from: *from, to }));
    }
    (layer.into_iter().map(Option::unwrap_or_default).collect(), drawn)
}

impl Draft {
    fn new(count: usize, edges: &[Edge]) -> Self {
        let (layer, edges) = layered(count, edges);
        let slot = |layer: usize, is_node: bool| Slot { layer, is_node, before: vec![], behind: vec![] };
        let mut slots: Vec<Slot> = layer.iter().map(|layer| slot(*layer, true)).collect();
        let mut ways = Vec::new();
        for edge in edges {
            let mut way = vec![edge.from];
            for between in layer[edge.from] + 1..layer[edge.to] {
                way.push(slots.len());
                slots.push(slot(between, false));
            }
            way.push(edge.to);
            for pair in way.windows(2) {
                slots[pair[0]].behind.push(pair[1]);
                slots[pair[1]].before.push(pair[0]);
            }
            ways.push((edge, way));
        }
        let mut layers = vec![Vec::new(); layer.iter().max().map_or(0, |last| last + 1)];
        for (number, slot) in slots.iter().enumerate() {
            layers[slot.layer].push(number);
        }
        Self { slots, ways, layers }
    }

    /// Orders each layer by the middle of what its slots are joined to, from the left and from the right in turn, so
    /// that few edges cross (Sugiyama's way).
    fn sort(&mut self) {
        let mut position = vec![0; self.slots.len()];
        self.number(&mut position);
        for sweep in 0..SWEEPS * 2 {
            let from_left = sweep % 2 == 0;
            for at in 0..self.layers.len() {
                let at = if from_left { at } else { self.layers.len() - 1 - at };
                let middle = |slot: &usize| {
                    let slot_of = &self.slots[*slot];
                    let joined = if from_left { &slot_of.before } else { &slot_of.behind };
                    match joined.len() {
                        0 => position[*slot] * 1_000,
                        count => joined.iter().map(|other| position[*other] * 1_000).sum::<usize>() / count,
                    }
                };
                let mut layer = self.layers[at].clone();
                layer.sort_by_key(middle);
                for (place, slot) in layer.iter().enumerate() {
                    position[*slot] = place;
                }
                self.layers[at] = layer;
            }
        }
    }

    fn number(&self, position: &mut [usize]) {
        for layer in &self.layers {
            for (place, slot) in layer.iter().enumerate() {
                position[*slot] = place;
            }
        }
    }

    fn height_of(&self, slot: usize) -> i32 {
        if self.slots[slot].is_node { NODE_HEIGHT } else { PASS_HEIGHT }
    }

    /// Gives every slot its place; layers are centred beside one another.
    fn place(self, count: usize) -> Layers {
        let heights: Vec<i32> = self
            .layers
            .iter()
            .map(|layer| layer.iter().map(|slot| self.height_of(*slot) + NODE_GAP).sum::<i32>() - NODE_GAP)
            .collect();
        let tallest = heights.iter().copied().max().unwrap_or_default();
        let mut corners: Vec<Point> = vec![(0, 0); self.slots.len()];
        let mut x = MARGIN;
        for (layer, height) in self.layers.iter().zip(&heights) {
            let mut y = MARGIN + (tallest - height) / 2;
            for slot in layer {
                corners[*slot] = (x, y);
                y += self.height_of(*slot) + NODE_GAP;
            }
            x += NODE_WIDTH + LAYER_GAP;
        }
        let middle = |slot: usize| corners[slot].1 + self.height_of(slot) / 2;
        let edges = self.ways.iter().map(|(edge, way)| {
            let mut points = Vec::with_capacity(way.len() * 2);
            for (place, slot) in way.iter().enumerate() {
                let (x, y) = (corners[*slot].0, middle(*slot));
                if place > 0 {
                    points.push((x, y));
                }
                if place + 1 < way.len() {
                    points.push((x + NODE_WIDTH, y));
                }
            }
            (*edge, points)
        });
        let edges = edges.collect();
        corners.truncate(count);
        Layers { width: x - LAYER_GAP + MARGIN, height: tallest + 2 * MARGIN, nodes: corners, edges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(usize, usize)]) -> Vec<Edge> {
        pairs.iter().map(|(from, to)| Edge { from: *from, to: *to }).collect()
    }

    #[test]
    fn a_node_stands_right_of_all_that_it_waits_for() {
        let wanted = edges(&[(0, 1), (1, 2), (0, 3), (3, 2), (2, 4)]);
        let drawing = Layers::new(6, &wanted);
        for edge in &wanted {
            assert!(drawing.nodes[edge.from].0 + NODE_WIDTH < drawing.nodes[edge.to].0, "{edge:?}");
        }
        assert_eq!(drawing.nodes[5].0, drawing.nodes[0].0, "what waits for nothing stands first");
        for (edge, points) in &drawing.edges {
            let (from, to) = (drawing.nodes[edge.from], drawing.nodes[edge.to]);
            assert_eq!(points.first(), Some(&(from.0 + NODE_WIDTH, from.1 + NODE_HEIGHT / 2)));
            assert_eq!(points.last(), Some(&(to.0, to.1 + NODE_HEIGHT / 2)));
        }
    }

    #[test]
    fn nothing_lies_upon_another_or_outside() {
        let wanted = edges(&[(0, 5), (1, 5), (2, 6), (3, 6), (5, 7), (6, 7), (4, 7)]);
        let drawing = Layers::new(8, &wanted);
        for (at, one) in drawing.nodes.iter().enumerate() {
            assert!(one.0 >= 0 && one.0 + NODE_WIDTH <= drawing.width, "{one:?}");
            assert!(one.1 >= 0 && one.1 + NODE_HEIGHT <= drawing.height, "{one:?}");
            for other in &drawing.nodes[at + 1..] {
                let apart = (one.0 - other.0).abs() >= NODE_WIDTH || (one.1 - other.1).abs() >= NODE_HEIGHT;
                assert!(apart, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn an_edge_that_a_longer_way_stands_for_is_left_out() {
        let drawing = Layers::new(3, &edges(&[(0, 1), (1, 2), (0, 2), (0, 1)]));
        let drawn: Vec<Edge> = drawing.edges.iter().map(|(edge, _)| *edge).collect();
        assert_eq!(drawn, edges(&[(0, 1), (1, 2)]));
    }

    #[test]
    fn an_edge_over_layers_passes_beside_their_nodes() {
        let drawing = Layers::new(5, &edges(&[(0, 1), (1, 2), (3, 2), (4, 1)]));
        let (_, points) = drawing.edges.iter().find(|(edge, _)| edge.from == 3).unwrap();
        assert_eq!(points.len(), 4);
        let node = drawing.nodes[1];
        assert_eq!(points[1].0, node.0, "it passes the layer of that node");
        assert!(points[1].1 < node.1 || points[1].1 > node.1 + NODE_HEIGHT, "{points:?} {node:?}");
    }

    #[test]
    fn edges_that_cross_are_untangled() {
        let drawing = Layers::new(4, &edges(&[(0, 3), (1, 2)]));
        let above = |one: usize, other: usize| drawing.nodes[one].1 < drawing.nodes[other].1;
        assert_eq!(above(0, 1), above(3, 2));
    }

    #[test]
    fn what_is_no_graph_is_drawn_all_the_same() {
        assert_eq!(Layers::new(0, &[]), Layers::default());
        let drawing = Layers::new(2, &edges(&[(0, 1), (1, 0), (0, 9)]));
        assert_eq!((drawing.nodes.len(), drawing.edges.len()), (2, 0));
    }
}
