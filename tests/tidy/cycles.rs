//! Finds import cycles between the files of one top-level module; the order of layers excludes cycles between
//! modules.
//!
//! A file depends on another file when it names an item that is defined there, also through re-exports. Two
//! cases are not a dependency: a module re-exports items of its submodules, and a submodule uses items of the
//! modules around it.

use std::collections::{BTreeMap, BTreeSet};

use syn::Item;

use crate::names::{How, Named, from_root, names};
use crate::source::{Source, product};

/// A chain of more re-exports than this is an endless loop.
const STEPS_MAX: usize = 16;

#[test]
fn files_of_a_module_import_each_other_in_no_cycle() {
    let violations = cycles(&product());
    crate::assert_none("files import each other in a cycle", &violations);
}

/// The dependencies between files, by index. Each has the line of its first use and the names that it
/// consists of.
type Edges = BTreeMap<(usize, usize), (usize, BTreeSet<String>)>;

/// Each cycle as text, with the names that connect its files.
fn cycles(sources: &[Source]) -> Vec<String> {
    let edges = edges(sources);
    let reached: Vec<_> = (0..sources.len()).map(|from| reach(from, &edges)).collect();
    let mut cycles = BTreeSet::new();
    for (file, others) in reached.iter().enumerate() {
        let back = others
            .iter()
            .filter(|other| reached[**other].contains(&file));
        cycles.insert(back.copied().collect::<BTreeSet<_>>());
    }
    let cycles = cycles.iter().filter(|cycle| !cycle.is_empty());
    cycles
        .map(|cycle| describe(cycle, &edges, sources))
        .collect()
}

fn describe(cycle: &BTreeSet<usize>, edges: &Edges, sources: &[Source]) -> String {
    let inside = |(from, to): &(usize, usize)| cycle.contains(from) && cycle.contains(to);
    let edges = edges.iter().filter(|(ends, _)| inside(ends));
    let mut lines = vec![format!("cycle of {} files:", cycle.len())];
    lines.extend(edges.map(|((from, to), (line, names))| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let (from, to) = (&sources[*from].path, &sources[*to].path);
        format!("  {from}:{line} -> {to}: {}", names.join(", "))
    }));
    lines.join("\n")
}

/// Every file that can be reached from `from` along the edges.
fn reach(from: usize, edges: &Edges) -> BTreeSet<usize> {
    let (mut found, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        let on = edges.range((file, 0)..=(file, usize::MAX));
        next.extend(on.map(|((_, to), _)| *to).filter(|to| found.insert(*to)));
    }
    found
}

fn edges(sources: &[Source]) -> Edges {
    let tree = Tree::new(sources);
    let mut edges = Edges::new();
    for (file, source) in sources.iter().enumerate() {
        for named in names(&source.tree) {
            let module = [source.module(), named.inside.clone()].concat();
            let Some((other, name)) = tree.find(&module, &named.segments, STEPS_MAX) else {
                continue;
            };
            if depends(source, &named, &sources[other]) {
                let (line, names) = edges
                    .entry((file, other))
                    .or_insert((named.line, BTreeSet::new()));
                *line = named.line.min(*line);
                names.insert(name);
            }
        }
    }
    edges
}

/// Whether a use in `source` of an item that `other` defines is a dependency.
fn depends(source: &Source, named: &Named, other: &Source) -> bool {
    let (here, there) = (source.module(), other.module());
    let reexports = match named.how {
        How::Used => false,
        How::Imported { is_public, .. } | How::Globbed { is_public } => is_public,
    };
    let reexports_from_below = reexports && there.starts_with(&here);
    // The file itself also counts as a module around it.
    let is_around = here.starts_with(&there);
    source.top() == other.top() && !reexports_from_below && !is_around
}

/// The definitions and imports of each module.
struct Tree {
    modules: BTreeMap<Vec<String>, Module>,
}

#[derive(Default)]
struct Module {
    file: usize,
    defined: BTreeSet<String>,
    imported: BTreeMap<String, Vec<String>>,
    globbed: Vec<Vec<String>>,
}

impl Tree {
    fn new(sources: &[Source]) -> Self {
        let mut tree = Self {
            modules: BTreeMap::new(),
        };
        for (file, source) in sources.iter().enumerate() {
            tree.add(file, source.module(), &source.tree.items);
            for named in names(&source.tree) {
                let module = [source.module(), named.inside].concat();
                let module = tree.modules.entry(module).or_default();
                match named.how {
                    How::Used => {}
                    How::Imported { alias, .. } => {
                        module.imported.insert(alias, named.segments);
                    }
                    How::Globbed { .. } => module.globbed.push(named.segments),
                }
            }
        }
        tree
    }

    fn add(&mut self, file: usize, path: Vec<String>, items: &[Item]) {
        let defined = items.iter().filter_map(defined).collect();
        for item in items {
            if let Item::Mod(module) = item
                && let Some((_, items)) = &module.content
            {
                let path = [path.as_slice(), &[module.ident.to_string()]].concat();
                self.add(file, path, items);
            }
        }
        let module = Module {
            file,
            defined,
            ..Module::default()
        };
        self.modules.insert(path, module);
    }

    /// The file that defines the item which `segments` name inside `module`, and the item's name. `None` for
    /// a module, and for an item of another crate.
    fn find(
        &self,
        module: &[String],
        segments: &[String],
        steps: usize,
    ) -> Option<(usize, String)> {
        let steps = steps.checked_sub(1)?;
        let below = [module, segments].concat();
        match from_root(module, segments) {
            Some(path) => self.find_from_root(&path, steps),
            None if segments.len() > 1 && self.modules.contains_key(&below[..=module.len()]) => {
                self.find_from_root(&below, steps)
            }
            None => self.find_inside(module, segments, steps),
        }
    }

    fn find_from_root(&self, path: &[String], steps: usize) -> Option<(usize, String)> {
        // The last segment is not resolved as a module: `budget::budget` may be a function.
        let mut depths = (0..path.len()).rev();
        let depth = depths.find(|depth| self.modules.contains_key(&path[..*depth]))?;
        let (module, rest) = path.split_at(depth);
        let is_known = self.knows(module, &rest[0]) || self.modules.contains_key(path);
        // If no item defines the name, then a macro of this module does.
        let from_macro = || (self.modules[module].file, rest[0].clone());
        let found = self.find_inside(module, rest, steps);
        found.or_else(|| (!is_known).then(from_macro))
    }

    fn find_inside(
        &self,
        path: &[String],
        rest: &[String],
        steps: usize,
    ) -> Option<(usize, String)> {
        let (module, name) = (self.modules.get(path)?, rest.first()?);
        if module.defined.contains(name) {
            return Some((module.file, name.clone()));
        }
        if let Some(import) = module.imported.get(name) {
            return self.find(path, &[import, &rest[1..]].concat(), steps);
        }
        let globbed = module
            .globbed
            .iter()
            .map(|glob| match from_root(path, glob) {
                Some(glob) => glob,
                None => [path, glob].concat(),
            });
        let mut known = globbed.filter(|glob| self.knows(glob, name));
        known.find_map(|glob| self.find_inside(&glob, rest, steps))
    }

    fn knows(&self, module: &[String], name: &str) -> bool {
        let module = self.modules.get(module);
        module.is_some_and(|module| {
            module.defined.contains(name) || module.imported.contains_key(name)
        })
    }
}

/// The name that an item defines. A module has none, because only the items inside it count.
fn defined(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

/// The cycles among the files of one module, which are given as path and code.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let sources = files.iter().map(|(path, code)| Source::parse(path, code));
    cycles(&sources.collect::<Vec<_>>())
}

#[test]
fn a_cycle_through_a_re_export_is_found() {
    let files = [
        (
            "src/plan/mod.rs",
            "mod a; mod b;\npub use b::{Bee as Insect};\npub use a::helper;",
        ),
        (
            "src/plan/a.rs",
            "use super::Insect;\npub fn helper(_: Insect) {}",
        ),
        (
            "src/plan/b.rs",
            "pub struct Bee;\nfn f() { crate::plan::helper(Bee) }",
        ),
    ];
    let cycle = "cycle of 2 files:
  src/plan/a.rs:1 -> src/plan/b.rs: Bee
  src/plan/b.rs:2 -> src/plan/a.rs: helper";
    assert_eq!(found(&files), [cycle]);
}

#[test]
fn a_cycle_by_paths_alone_is_found() {
    let files = [
        ("src/plan.rs", "mod a; mod b;"),
        (
            "src/plan/a.rs",
            "use super::b;\npub fn f() { println!(\"{}\", b::LIMIT) }",
        ),
        (
            "src/plan/b.rs",
            "pub const LIMIT: u8 = 1;\nfn g() { super::a::f() }",
        ),
    ];
    let cycle = "cycle of 2 files:
  src/plan/a.rs:2 -> src/plan/b.rs: LIMIT
  src/plan/b.rs:2 -> src/plan/a.rs: f";
    assert_eq!(found(&files), [cycle]);
}

#[test]
fn a_parent_may_use_its_child_and_the_child_its_parent() {
    let files = [
        (
            "src/plan/mod.rs",
            "mod a;\nuse a::helper;\npub struct Plan;\nfn f() { helper(Plan) }",
        ),
        (
            "src/plan/a.rs",
            "use super::Plan;\npub fn helper(_: Plan) {}",
        ),
    ];
    assert_eq!(found(&files), [""; 0]);
}

#[test]
fn a_cycle_through_a_parent_that_stands_beside_is_found() {
    let files = [
        ("src/plan/mod.rs", "mod a; mod inner;"),
        (
            "src/plan/a.rs",
            "use super::inner::Inner;\npub struct A(Inner);\npub struct B;",
        ),
        (
            "src/plan/inner/mod.rs",
            "mod x;\nuse x::X;\npub struct Inner(X);",
        ),
        (
            "src/plan/inner/x.rs",
            "use crate::plan::a::B;\npub struct X(B);",
        ),
    ];
    assert_eq!(found(&files).len(), 1);
}

#[test]
fn test_items_and_other_modules_tie_no_files() {
    let files = [
        ("src/plan/mod.rs", "mod a; mod b;"),
        (
            "src/plan/a.rs",
            "pub struct A;\n#[cfg(test)]\nmod tests { use super::super::b::B; }",
        ),
        ("src/plan/b.rs", "use super::a::A;\npub struct B(A);"),
        ("src/model.rs", "use crate::plan::a::A;\npub struct Uin;"),
    ];
    assert_eq!(found(&files), [""; 0]);
}
