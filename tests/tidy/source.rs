//! Reads the Rust files of the repository and removes their test items, so that a rule for the product checks
//! exactly the product's code. The module contains no rule itself.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Block, File, ImplItem, Item, ItemImpl, ItemMod, Meta, Stmt};

/// One parsed Rust file without its test items.
pub(crate) struct Source {
    /// Path from the repository's root, with `/` between its parts.
    pub(crate) path: String,
    /// The whole text, test items included.
    pub(crate) text: String,
    /// The syntax tree, without test items.
    pub(crate) tree: File,
    test_lines: Vec<RangeInclusive<usize>>,
}

impl Source {
    /// Parses one file's text and strips its test items.
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let mut tree = syn::parse_file(text).unwrap_or_else(|error| {
            let line = error.span().start().line;
            panic!("{path}:{line}: not Rust: {error}")
        });
        let mut strip = Strip::default();
        strip.visit_file_mut(&mut tree);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tree,
            test_lines: strip.lines,
        }
    }

    /// Name of the top-level module that the file belongs to.
    pub(crate) fn top(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split(['/', '.']).next().unwrap_or(inside)
    }

    /// Path of the file's module from the crate's root: `src/plan/mod.rs` and `src/plan.rs` are `plan`.
    pub(crate) fn module(&self) -> Vec<String> {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let inside = inside.strip_suffix(".rs").unwrap_or(inside);
        let parts = inside.split('/').map(str::to_owned);
        parts
            .filter(|part| part != "mod" && part != "lib")
            .collect()
    }

    /// The lines outside test items, each with its number.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text.lines().enumerate();
        numbered
            .map(|(index, line)| (index + 1, line))
            .filter(|(number, _)| !self.test_lines.iter().any(|test| test.contains(number)))
    }
}

/// Root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the product: all files under `src` except test files and the folders that split them.
pub(crate) fn product() -> Vec<Source> {
    let files = rust_files("src").into_iter();
    files
        .filter(|path| !path.ends_with("_tests.rs") && !path.contains("_tests/"))
        .map(|path| Source::parse(&path, &read(&path)))
        .collect()
}

/// Every file of the integration tests and benchmarks.
pub(crate) fn beside() -> impl Iterator<Item = Source> {
    let files = ["tests", "benches"].into_iter().flat_map(rust_files);
    files.map(|path| Source::parse(&path, &read(&path)))
}

/// The text of a file, whose path is relative to the repository's root.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Path of every Rust file under a folder, in alphabetical order.
pub(crate) fn rust_files(folder: &str) -> Vec<String> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    let mut paths: Vec<_> = found
        .iter()
        .map(|path| path.strip_prefix(root()).expect("below the root"))
        .map(|path| path.to_string_lossy().replace('\\', "/"))
        .collect();
    paths.sort();
    paths
}

/// Removes each item that only a test build compiles, and records the lines of the item.
#[derive(Default)]
struct Strip {
    lines: Vec<RangeInclusive<usize>>,
}

impl Strip {
    /// Whether the item stays; records its lines if it does not.
    fn keep(&mut self, attributes: &[Attribute], item: &impl Spanned) -> bool {
        let is_test = attributes.iter().any(is_test_only);
        if is_test {
            let span = item.span();
            self.lines.push(span.start().line..=span.end().line);
        }
        !is_test
    }
}

impl VisitMut for Strip {
    fn visit_file_mut(&mut self, file: &mut File) {
        file.items.retain(|item| self.keep(attributes(item), item));
        visit_mut::visit_file_mut(self, file);
    }

    fn visit_item_mod_mut(&mut self, module: &mut ItemMod) {
        if let Some((_, items)) = &mut module.content {
            items.retain(|item| self.keep(attributes(item), item));
        }
        visit_mut::visit_item_mod_mut(self, module);
    }

    fn visit_item_impl_mut(&mut self, block: &mut ItemImpl) {
        block.items.retain(|item| match item {
            ImplItem::Const(constant) => self.keep(&constant.attrs, item),
            ImplItem::Fn(function) => self.keep(&function.attrs, item),
            ImplItem::Type(alias) => self.keep(&alias.attrs, item),
            _ => true,
        });
        visit_mut::visit_item_impl_mut(self, block);
    }

    fn visit_block_mut(&mut self, block: &mut Block) {
        block.stmts.retain(|statement| match statement {
            Stmt::Item(item) => self.keep(attributes(item), item),
            _ => true,
        });
        visit_mut::visit_block_mut(self, block);
    }
}

/// Whether the attribute is exactly `#[cfg(test)]`: `cfg(any(test, …))` is also compiled into the product.
fn is_test_only(attribute: &Attribute) -> bool {
    match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    }
}

/// The attributes of an item. Syn only has them as a field of each kind of item.
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[test]
fn only_test_items_are_stripped() {
    let source = Source::parse(
        "src/plan/file.rs",
        "//! A file.
#[cfg(test)]
mod liberal_tests;
#[cfg(test)]
use std::cell::Cell;

/// The doc of a test item goes with it.
#[cfg(test)]
#[path = \"x_tests.rs\"]
mod tests;
#[cfg(any(test, unix))]
fn first() {
    #[cfg(test)]
    use std::fs;
    second();
}
#[cfg(test)]
impl Thing {
    fn seen() {}
}
impl Thing {
    #[cfg(test)]
    fn seen() {}
    fn kept() {}
}
#[cfg(test)]
mod inside {
    fn hidden() {}
}
fn second() {}
",
    );
    let kept: Vec<_> = source.lines().map(|(number, _)| number).collect();
    assert_eq!(kept, [1, 6, 11, 12, 15, 16, 21, 24, 25, 30]);
    assert_eq!(source.tree.items.len(), 3);
}

#[test]
fn a_module_is_a_file_or_a_folder() {
    let module = |path| Source::parse(path, "").module().join("::");
    assert_eq!(module("src/plan/mod.rs"), "plan");
    assert_eq!(module("src/plan.rs"), "plan");
    assert_eq!(module("src/plan/deep/file.rs"), "plan::deep::file");
    assert_eq!(module("src/lib.rs"), "");
}
