//! The dependency graph of a project's services: order, closures, cycles as readable paths.
//!
//! Edges come from `depends_on`, `links` and `network_mode: service:` (spec row `life-order`).
//! Pure, and stable: services that are independent of each other keep the order of the file.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use indexmap::IndexMap;
use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::compose::model::{NetworkMode, Project};
use crate::diag::{self, Diagnostic, Span};
use crate::ids::ServiceName;

/// Where the file says that the first service depends on the second.
pub type Spans = IndexMap<(ServiceName, ServiceName), Span>;

/// Which services of a project need which others first.
#[derive(Debug, Clone)]
pub struct Graph {
    /// An edge leads from a service to what it depends on.
    edges: DiGraph<ServiceName, ()>,
    index: HashMap<ServiceName, NodeIndex>,
    order: Vec<NodeIndex>,
}

impl Graph {
    /// Returns the graph of a project's enabled services.
    ///
    /// # Errors
    ///
    /// One diagnostic for each required dependency that is not there and one for each cycle.
    pub fn build(project: &Project, spans: &Spans) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let mut edges = DiGraph::with_capacity(project.services.len(), project.services.len());
        let index: HashMap<_, _> =
            project.services.keys().map(|name| (name.clone(), edges.add_node(name.clone()))).collect();
        for (name, service) in &project.services {
            let depends_on = service.depends_on.iter().map(|(to, dependency)| (to, dependency.required));
            let links = service.links.iter().map(|(to, _)| (to, true));
            let shared = match &service.network_mode {
                Some(NetworkMode::Service(owner)) => Some((owner, true)),
                _ => None,
            };
            let mut seen = HashSet::new();
            for (to, required) in depends_on.chain(links).chain(shared) {
                if !seen.insert(to) {
                    continue;
                }
                match index.get(to) {
                    Some(&node) => {
                        edges.add_edge(index[name], node, ());
                    }
                    None if required => problems.push(unknown(project, name, to, spans)),
                    None => {}
                }
            }
        }
        problems.extend(cycles(&edges, spans));
        if !problems.is_empty() {
            return Err(problems);
        }
        let order = topological(&edges);
        Ok(Self { edges, index, order })
    }

    /// Returns all services, dependencies before dependents, otherwise as in the file.
    pub fn order(&self) -> impl DoubleEndedIterator<Item = &ServiceName> {
        self.order.iter().map(|&node| &self.edges[node])
    }

    /// Returns these services and all that they depend on, dependencies first.
    pub fn dependencies_closure<'a>(&self, services: impl IntoIterator<Item = &'a ServiceName>) -> Vec<ServiceName> {
        let mut open: Vec<NodeIndex> = services.into_iter().filter_map(|name| self.index.get(name).copied()).collect();
        let mut found: HashSet<NodeIndex> = HashSet::new();
        while let Some(node) = open.pop() {
            if found.insert(node) {
                open.extend(self.edges.neighbors_directed(node, Direction::Outgoing));
            }
        }
        self.order.iter().filter(|node| found.contains(node)).map(|&node| self.edges[node].clone()).collect()
    }
}

fn unknown(project: &Project, from: &ServiceName, to: &ServiceName, spans: &Spans) -> Diagnostic {
    let span = spans.get(&(from.clone(), to.clone())).cloned();
    if project.disabled.contains(to) {
        return Diagnostic::error(format!("service {from} depends on {to}, which no active profile enables"), span)
            .help(format!("enable a profile of {to}, or set required: false on the dependency"));
    }
    let problem = Diagnostic::error(format!("service {from} depends on {to}, which is not defined"), span);
    let similar = diag::nearest(to.as_str(), project.services.keys().map(ServiceName::as_str));
    match similar {
        Some(name) => problem.help(format!("did you mean {name}?")),
        None => problem,
    }
}

/// Refuses services that wait for each other in a circle; the places are those of all dependencies, in the order of the file.
///
/// # Errors
///
/// One diagnostic for each circle.
pub fn refuse_circles(spans: &Spans) -> Result<(), Vec<Diagnostic>> {
    let mut edges = DiGraph::with_capacity(spans.len(), spans.len());
    let mut index: HashMap<&ServiceName, NodeIndex> = HashMap::new();
    for (from, to) in spans.keys() {
        let [from, to] = [from, to].map(|name| *index.entry(name).or_insert_with(|| edges.add_node(name.clone())));
        edges.add_edge(from, to, ());
    }
    let problems = cycles(&edges, spans);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Returns a diagnostic for each group of services that depend on each other.
fn cycles(edges: &DiGraph<ServiceName, ()>, spans: &Spans) -> Vec<Diagnostic> {
    let mut groups: Vec<Vec<NodeIndex>> = kosaraju_scc(edges)
        .into_iter()
        .filter(|group| group.len() > 1 || edges.find_edge(group[0], group[0]).is_some())
        .collect();
    groups.iter_mut().for_each(|group| group.sort_unstable());
    groups.sort_unstable();
    groups.iter().map(|group| cycle(edges, group, spans)).collect()
}

fn cycle(edges: &DiGraph<ServiceName, ()>, group: &[NodeIndex], spans: &Spans) -> Diagnostic {
    let path = shortest_cycle(edges, group);
    let text: Vec<_> = path.iter().map(|&node| edges[node].as_str()).collect();
    let places: Vec<_> = path
        .windows(2)
        .filter_map(|pair| {
            let (from, to) = (&edges[pair[0]], &edges[pair[1]]);
            spans.get(&(from.clone(), to.clone())).map(|span| (span.clone(), format!("{from} depends on {to}")))
        })
        .collect();
    let problem = Diagnostic::error(
        format!("services depend on each other in a circle: {}", text.join(" -> ")),
        places.first().map(|(span, _)| span.clone()),
    );
    let others: Vec<_> = places.iter().skip(1).map(|(span, what)| format!("{what} at {}", span.location())).collect();
    let problem = match places.first() {
        Some((_, what)) => problem.label(what.clone()),
        None => problem,
    };
    if others.is_empty() { problem } else { problem.help(others.join("; ")) }
}

/// Returns the shortest way from the group's first service (as in the file) back to it.
fn shortest_cycle(edges: &DiGraph<ServiceName, ()>, group: &[NodeIndex]) -> Vec<NodeIndex> {
    let start = group[0];
    let inside: HashSet<_> = group.iter().copied().collect();
    let mut came_from: HashMap<NodeIndex, NodeIndex> = HashMap::new();
    let mut open = std::collections::VecDeque::from([start]);
    while let Some(node) = open.pop_front() {
        let mut next: Vec<_> = edges.neighbors(node).filter(|node| inside.contains(node)).collect();
        next.sort_unstable();
        for to in next {
            if to == start {
                let back = std::iter::successors(Some(node), |node| came_from.get(node).copied());
                let mut path: Vec<_> = std::iter::once(start).chain(back).collect();
                path.reverse();
                return path;
            }
            if let std::collections::hash_map::Entry::Vacant(entry) = came_from.entry(to) {
                entry.insert(node);
                open.push_back(to);
            }
        }
    }
    group.to_vec()
}

/// Returns dependencies before dependents; of several that are free, the file's first.
fn topological(edges: &DiGraph<ServiceName, ()>) -> Vec<NodeIndex> {
    let mut missing: Vec<usize> = edges.node_indices().map(|node| edges.neighbors(node).count()).collect();
    let mut free: BinaryHeap<_> = edges.node_indices().filter(|node| missing[node.index()] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(missing.len());
    while let Some(Reverse(node)) = free.pop() {
        order.push(node);
        for dependent in edges.neighbors_directed(node, Direction::Incoming) {
            missing[dependent.index()] -= 1;
            if missing[dependent.index()] == 0 {
                free.push(Reverse(dependent));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::compose::model::{Condition, Dependency, Service};
    use crate::diag::Source;

    /// `a: b c?` is a service `a` that needs `b` and, not required, `c`.
    fn project(text: &str) -> (Project, Spans) {
        let source = Arc::new(Source::new("stack.yml", text));
        let (mut services, mut spans) = (indexmap::IndexMap::new(), Spans::new());
        for line in text.lines() {
            let (name, needs) = line.trim().split_once(':').unwrap();
            let mut service = Service::default();
            for need in needs.split_whitespace() {
                let start = need.as_ptr() as usize - text.as_ptr() as usize;
                let to = ServiceName::from(need.trim_end_matches('?'));
                spans
                    .insert((name.into(), to.clone()), Span { source: source.clone(), start, end: start + need.len() });
                let required = !need.ends_with('?');
                service
                    .depends_on
                    .insert(to, Dependency { condition: Condition::ServiceStarted, required, restart: false });
            }
            services.insert(name.into(), service);
        }
        let project = Project {
            name: "app".into(),
            working_dir: PathBuf::new(),
            files: Vec::new(),
            services,
            disabled: vec!["debug".into()],
            networks: indexmap::IndexMap::new(),
            volumes: indexmap::IndexMap::new(),
            configs: indexmap::IndexMap::new(),
            secrets: indexmap::IndexMap::new(),
            models: indexmap::IndexMap::new(),
        };
        (project, spans)
    }

    fn graph(text: &str) -> Graph {
        let (project, spans) = project(text);
        Graph::build(&project, &spans).unwrap()
    }

    fn names(services: impl IntoIterator<Item = impl AsRef<str>>) -> String {
        services.into_iter().map(|name| name.as_ref().to_owned()).collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn check_problems(text: &str, expected: &[&str]) {
        let (project, spans) = project(text);
        let problems = Graph::build(&project, &spans).unwrap_err();
        let shown: Vec<_> = problems
            .iter()
            .map(|p| {
                let at = p.span.as_ref().map(Span::location).unwrap_or_default();
                format!("{at} {} [{}] {}", p.message, p.label, p.help.as_deref().unwrap_or("-"))
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn dependencies_come_first_and_the_rest_keeps_the_files_order() {
        let graph = graph("web: api cache\nlog:\napi: db\ncache:\ndb:\nz: gone?");
        assert_eq!(names(graph.order()), "log cache db api web z");
    }

    #[test]
    fn closures_follow_edges_one_way() {
        let graph = graph("web: api\napi: db\ndb:\nother: db");
        assert_eq!(names(graph.dependencies_closure([&"api".into()])), "db api");
        assert_eq!(names(graph.dependencies_closure([&"other".into(), &"web".into()])), "db api web other");
    }

    #[test]
    fn links_and_shared_networks_are_edges() {
        let (mut project, spans) = project("a:\nb:\nc:");
        project.services[0].links.push(("b".into(), "db".into()));
        project.services[1].network_mode = Some(NetworkMode::Service("c".into()));
        assert_eq!(names(Graph::build(&project, &spans).unwrap().order()), "c b a");
    }

    #[test]
    fn a_cycle_is_shown_as_a_path() {
        check_problems(
            "x: a\na: b\nb: c\nc: a d\nd:",
            &["stack.yml:2:4 services depend on each other in a circle: a -> b -> c -> a [a depends on b] \
               b depends on c at stack.yml:3:4; c depends on a at stack.yml:4:4"],
        );
        check_problems("a: a", &["stack.yml:1:4 services depend on each other in a circle: a -> a [a depends on a] -"]);
    }

    #[test]
    fn every_problem_is_reported() {
        check_problems(
            "web: dbb debug\ndb:\np: q\nq: p",
            &[
                "stack.yml:1:6 service web depends on dbb, which is not defined [] did you mean db?",
                "stack.yml:1:10 service web depends on debug, which no active profile enables [] \
                 enable a profile of debug, or set required: false on the dependency",
                "stack.yml:3:4 services depend on each other in a circle: p -> q -> p [p depends on q] \
                 q depends on p at stack.yml:4:4",
            ],
        );
    }

    #[test]
    fn ten_thousand_services_in_a_row_do_not_overflow_the_stack() {
        let text: Vec<_> = (0..10_000).map(|i| format!("s{i}: s{}?", i + 1)).collect();
        assert_eq!(graph(&text.join("\n")).order().next().unwrap().as_str(), "s9999");
    }
}
