//! Checks that each link of the book leads to an existing file, and to an existing heading in that file.

use super::assert_none;
use super::page::{self, Page};

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let mut broken = Vec::new();
    let mut count = 0;
    for page in page::all() {
        for link in page.links() {
            if !link.contains("://") && !link.starts_with("mailto:") {
                count += 1;
                broken.extend(problem(&page, &link));
            }
        }
    }
    assert_none("a link leads nowhere", broken);
    assert!(count > 100, "links are found at all: {count}");
}

/// Describes what is wrong with a link within the repository, if anything is.
fn problem(page: &Page, link: &str) -> Option<String> {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page::root().join(&page.name),
        file => {
            let page = page::root().join(&page.name);
            page.parent().expect("a folder").join(file)
        }
    };
    let Ok(target) = target.canonicalize() else {
        return Some(format!("{}: {link}: no such file", page.name));
    };
    let has_heading = || {
        let root = page::root().canonicalize().expect("a folder");
        let name = target.strip_prefix(root).expect("inside the repository");
        let target = Page::read(name.to_str().expect("text"));
        target.anchors().contains(heading)
    };
    let is_found = heading.is_empty() || has_heading();
    (!is_found).then(|| format!("{}: {link}: no such heading", page.name))
}

/// Readers cannot find a page that no other page links to.
#[test]
fn each_page_of_the_book_is_in_its_index() {
    let links = Page::read("docs/README.md").links();
    let pages = page::book().into_iter();
    let names = pages.filter_map(|page| page.name.strip_prefix("docs/").map(str::to_owned));
    let missing = names.filter(|name| name != "README.md" && !links.contains(name));
    assert_none("the index lacks a page", missing);
}
