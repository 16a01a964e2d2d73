//! Collects every path that a file names: in `use` trees, types, expressions, attributes and the tokens of
//! macros. Doc comments do not count, because they are prose. The module does not resolve the paths.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, ExprCall, File, ItemMod, ItemUse, Lit, Macro, Meta, Path, UseTree, Visibility,
};

/// One path; a `use` tree is split into one entry for each of its paths.
#[derive(Debug)]
pub(crate) struct Named {
    /// The modules within the file that contain the path.
    pub(crate) inside: Vec<String>,
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    pub(crate) how: How,
}

/// How a file names a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// A use in an expression, a type, an attribute or a macro.
    Used,
    /// An import by `use`, under this name.
    Imported { alias: String, is_public: bool },
    /// An import by `use` with a star.
    Globbed { is_public: bool },
}

/// Every path that a file names.
pub(crate) fn names(file: &File) -> Vec<Named> {
    let mut collector = Collector::default();
    collector.visit_file(file);
    collector.found
}

/// The path from the crate's root, for a path that is used in `module`. `None` if the first segment does not
/// decide that.
pub(crate) fn from_root(module: &[String], segments: &[String]) -> Option<Vec<String>> {
    let (first, after) = segments.split_first()?;
    let (mut base, mut rest) = match first.as_str() {
        "crate" => (Vec::new(), after),
        "self" => (module.to_vec(), after),
        "super" => (module.to_vec(), segments),
        _ => return None,
    };
    while let Some((first, after)) = rest.split_first()
        && first == "super"
    {
        base.pop();
        rest = after;
    }
    base.extend_from_slice(rest);
    Some(base)
}

#[derive(Default)]
struct Collector {
    inside: Vec<String>,
    found: Vec<Named>,
}

impl Collector {
    fn add(&mut self, segments: Vec<String>, line: usize, how: How) {
        let inside = self.inside.clone();
        self.found.push(Named {
            inside,
            segments,
            line,
            how,
        });
    }

    fn add_path(&mut self, path: &Path) {
        // `::name` always begins at another crate, even if this crate has a module of that name.
        if path.leading_colon.is_none()
            && let Some(first) = path.segments.first()
        {
            let segments = path.segments.iter();
            let segments = segments.map(|segment| segment.ident.to_string()).collect();
            self.add(segments, line(&first.ident), How::Used);
        }
    }

    fn add_use(&mut self, tree: &UseTree, above: &[String], is_public: bool) {
        let with = |ident: &Ident| [above, &[ident.to_string()]].concat();
        let (ident, rename) = match tree {
            UseTree::Path(path) => return self.add_use(&path.tree, &with(&path.ident), is_public),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(tree, above, is_public);
                }
                return;
            }
            UseTree::Glob(star) => {
                let line = star.star_token.spans[0].start().line;
                return self.add(above.to_vec(), line, How::Globbed { is_public });
            }
            UseTree::Name(name) => (&name.ident, None),
            UseTree::Rename(name) => (&name.ident, Some(name.rename.to_string())),
        };
        // `use a::b::{self}` names `a::b`.
        let segments = match ident {
            ident if ident == "self" => above.to_vec(),
            ident => with(ident),
        };
        let alias = rename.or_else(|| segments.last().cloned());
        let alias = alias.unwrap_or_default();
        self.add(segments, line(ident), How::Imported { alias, is_public });
    }

    /// Finds paths of at least two segments among the tokens of a macro, whose grammar is unknown.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let is_colon =
            |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
        let joined = |at: usize| match tokens.get(at + 2) {
            Some(TokenTree::Ident(ident)) if is_colon(at) && is_colon(at + 1) => Some(ident),
            _ => None,
        };
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Literal(literal) => self.add_text(&Lit::new(literal.clone())),
                TokenTree::Ident(first) => {
                    let is_start = at < 3 || !(is_colon(at - 2) && is_colon(at - 3));
                    let mut segments = vec![first.to_string()];
                    while let Some(ident) = joined(at) {
                        segments.push(ident.to_string());
                        at += 3;
                    }
                    if is_start && segments.len() > 1 {
                        self.add(segments, line(first), How::Used);
                    }
                }
                TokenTree::Punct(_) => {}
            }
        }
    }

    /// An attribute may contain a path as text: `#[serde(with = "crate::words")]`.
    fn add_text(&mut self, literal: &Lit) {
        if let Lit::Str(text) = literal
            && text.value().contains("::")
            && let Ok(path) = text.parse::<Path>()
        {
            self.add_path(&path);
        }
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.inside.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            let is_public = !matches!(item.vis, Visibility::Inherited);
            self.add_use(&item.tree, &[], is_public);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        // A single lower-case name is nearly always a local variable; `visit_expr_call` adds called functions.
        let name = path.get_ident().map(Ident::to_string);
        if !name.is_some_and(|name| name.starts_with(char::is_lowercase)) {
            self.add_path(path);
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(function) = &*call.func
            && function.path.get_ident().is_some()
        {
            self.add_path(&function.path);
        }
        visit::visit_expr_call(self, call);
    }

    /// `pub(in crate::x)` is skipped, because it can only name a module around this one.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        if let Meta::List(list) = &attribute.meta {
            self.add_tokens(list.tokens.clone());
        }
        visit::visit_attribute(self, attribute);
    }

    fn visit_macro(&mut self, invoked: &'ast Macro) {
        self.add_path(&invoked.path);
        self.add_tokens(invoked.tokens.clone());
    }
}

fn line(ident: &Ident) -> usize {
    ident.span().start().line
}

/// Every path in `code`, as text.
fn found(code: &str) -> Vec<String> {
    let named = names(&syn::parse_file(code).expect("Rust")).into_iter();
    let text = named.map(|named| match named.how {
        How::Imported { alias, .. } => format!("{} as {alias}", named.segments.join("::")),
        How::Globbed { .. } => format!("{}::*", named.segments.join("::")),
        How::Used => named.segments.join("::"),
    });
    text.collect()
}

#[test]
fn use_groups_are_spread_out() {
    let code = "use crate::{plan::{self, Plan as P}, x::*};";
    let spread = [
        "crate::plan as plan",
        "crate::plan::Plan as P",
        "crate::x::*",
    ];
    assert_eq!(found(code), spread);
}

#[test]
fn paths_are_seen_in_types_patterns_attributes_and_macros() {
    let code = "#[serde(with = \"crate::a::b\", default)]
        struct Thing { field: Option<crate::c::D> }
        fn f() {
            println!(\"{}\", { crate::e::f(x) });
            if let super::g::H(local) = thing { helper(local.name) }
        }";
    let names = found(code);
    for path in [
        "crate::a::b",
        "crate::c::D",
        "crate::e::f",
        "super::g::H",
        "helper",
    ] {
        assert!(names.iter().any(|name| name == path), "{path}: {names:?}");
    }
    assert!(!names.iter().any(|name| name == "thing"), "{names:?}");
}

#[test]
fn doc_comments_are_prose() {
    assert!(found("/// See [`crate::engine::Engine`].\nfn f() {}").is_empty());
}

#[test]
fn super_leaves_the_module() {
    let path = |text: &str| -> Vec<String> { text.split("::").map(str::to_owned).collect() };
    let from =
        |segments| from_root(&path("plan::guard"), &path(segments)).map(|path| path.join("::"));
    assert_eq!(
        from("super::super::engine::X").as_deref(),
        Some("engine::X")
    );
    assert_eq!(from("self::X").as_deref(), Some("plan::guard::X"));
    assert_eq!(from("crate::words").as_deref(), Some("words"));
    assert_eq!(from("std::fmt"), None);
}
