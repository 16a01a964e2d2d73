//! Rejects doc comments that are too short to say more than the name of their item.

use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{
    AttrStyle, Attribute, Expr, Field, ImplItem, Item, Lit, Meta, Path, Token, TraitItem, Variant,
};

use crate::source::{self, Source, attributes, product};

/// A comment of fewer words only repeats the name.
const DOC_WORDS_MIN: usize = 4;
/// The derives of clap. Clap shows the doc comments of such types as help texts, which may be short.
const CLAP_TRAITS: [&str; 4] = ["Args", "Parser", "Subcommand", "ValueEnum"];

#[test]
fn doc_comments_say_more_than_the_name() {
    let sources = product().into_iter().chain(source::beside());
    let violations: Vec<_> = sources.flat_map(|source| short_docs(&source)).collect();
    crate::assert_none(
        "a doc comment says too little: add to it or delete it",
        &violations,
    );
}

fn short_docs(source: &Source) -> Vec<String> {
    let mut docs = ShortDocs::default();
    docs.visit_file(&source.tree);
    let lines = docs.found.into_iter();
    lines
        .map(|(line, text)| format!("{}:{line}: {text}", source.path))
        .collect()
}

/// Line and text of each doc comment that is too short.
#[derive(Default)]
struct ShortDocs {
    found: Vec<(usize, String)>,
}

impl ShortDocs {
    fn add(&mut self, attributes: &[Attribute]) {
        let docs: Vec<_> = attributes.iter().filter_map(doc).collect();
        let Some((line, _)) = docs.first() else {
            return;
        };
        let words = docs.iter().flat_map(|(_, text)| text.split_whitespace());
        let words: Vec<_> = words.collect();
        let has_letters = |word: &&&str| word.contains(char::is_alphanumeric);
        if words.iter().filter(has_letters).count() < DOC_WORDS_MIN {
            self.found.push((*line, words.join(" ")));
        }
    }
}

impl<'ast> Visit<'ast> for ShortDocs {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(derives_from_clap) {
            self.add(attributes(item));
            visit::visit_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast Field) {
        self.add(&field.attrs);
        visit::visit_field(self, field);
    }

    fn visit_variant(&mut self, variant: &'ast Variant) {
        self.add(&variant.attrs);
        visit::visit_variant(self, variant);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        self.add(match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => &[],
        });
        visit::visit_impl_item(self, item);
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        self.add(match item {
            TraitItem::Const(item) => &item.attrs,
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            _ => &[],
        });
        visit::visit_trait_item(self, item);
    }
}

/// Line and text of a `///` line; `None` for other attributes and for `//!`.
fn doc(attribute: &Attribute) -> Option<(usize, String)> {
    if let AttrStyle::Outer = attribute.style
        && let Meta::NameValue(pair) = &attribute.meta
        && pair.path.is_ident("doc")
        && let Expr::Lit(value) = &pair.value
        && let Lit::Str(text) = &value.lit
    {
        let line = attribute.pound_token.span.start().line;
        return Some((line, text.value()));
    }
    None
}

fn derives_from_clap(attribute: &Attribute) -> bool {
    let is_clap = |path: &Path| {
        let name = path.segments.last().map(|last| last.ident.to_string());
        name.is_some_and(|name| CLAP_TRAITS.contains(&name.as_str()))
    };
    attribute.path().is_ident("derive")
        && attribute
            .parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated)
            .is_ok_and(|derived| derived.iter().any(is_clap))
}

#[test]
fn short_docs_are_found_wherever_they_stand() {
    let code = "//! Short.
/// Which image.
pub struct Image {
    /// The
    /// identifier of it.
    id: u8,
    /// Its — name.
    name: u8,
}
impl Image {
    /// Why.
    #[must_use]
    fn why() {}
}
#[derive(Debug, clap::Args)]
struct Arguments {
    /// Verbose
    verbose: bool,
}
";
    let seen = short_docs(&Source::parse("src/x.rs", code));
    let expected = [
        "src/x.rs:2: Which image.",
        "src/x.rs:7: Its — name.",
        "src/x.rs:11: Why.",
    ];
    assert_eq!(seen, expected);
}
