//! Desired states for the small cloud, as manifests would declare them.

use sharekeeper::desired::{
    Account, CredentialSource, Desired, DesiredImage, DesiredShare, Source,
};
use sharekeeper::model::{AccountName, ImageId, ImageKey, Region, Scope};
use sharekeeper::windows::Windows;

/// A region of a named account.
pub(crate) fn scope_of(account: &str, region: &str) -> Scope {
    Scope {
        account: AccountName::new(account).expect("an account"),
        region: Region::new(region).expect("a region"),
    }
}

/// Manifests of the default account.
pub(crate) fn desired<'a>(images: impl IntoIterator<Item = (&'a str, String, bool)>) -> Desired {
    let account = AccountName::default();
    let images = images
        .into_iter()
        .map(|(region, image, shared)| (account.as_str(), region, image, shared));
    desired_of(images)
}

/// Manifests of several accounts, as tuples of account, region, image and whether it is shared.
pub(crate) fn desired_of<'a, 'b>(
    images: impl IntoIterator<Item = (&'a str, &'b str, String, bool)>,
) -> Desired {
    let mut desired = Desired::default();
    for (line, (account, region, image, shared)) in (1..).zip(images) {
        let scope = scope_of(account, region);
        let key = ImageKey {
            scope,
            image: ImageId::new(&image).expect("an id"),
        };
        let intent = if shared {
            DesiredShare::Shared {
                from: None,
                until: None,
            }
        } else {
            DesiredShare::Unshared
        };
        let source = Source {
            file: "test.yaml".into(),
            line,
        };
        desired.images.insert(
            key,
            DesiredImage {
                share: intent,
                protect: false,
                source,
                document: Default::default(),
                name: None,
                note: None,
                bounds: None,
                other_labels: Vec::new(),
            },
        );
    }
    desired
}

/// The same manifests with an `Account` document of the default account that sets only a rate.
pub(crate) fn with_rate(mut desired: Desired, rate: u32) -> Desired {
    let account = Account {
        uin: None,
        endpoint: None,
        rate: Some(rate),
        credentials: CredentialSource::Ambient,
        windows: Windows::default(),
        source: Source {
            file: "account.yaml".into(),
            line: 1,
        },
    };
    desired.accounts.insert(AccountName::default(), account);
    desired
}
