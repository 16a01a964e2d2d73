//! Images that no manifest names: what pruning needs to know before it cancels them.

use super::*;

#[test]
fn g3_s1_unknown_completeness_withholds_only_what_no_manifest_names() {
    let why = Completeness::Unknown("git is missing; install it".into());
    let until = |days| DesiredShare::Shared {
        from: None,
        until: Some(
            chrono::Utc
                .with_ymd_and_hms(2026, 5, days, 0, 0, 0)
                .unwrap(),
        ),
    };
    let verdict = |named: Option<DesiredShare>, shared, completeness: &Completeness| {
        let image = named.map(wanted);
        let id = img_a();
        let policy = Policy {
            prune: crate::plan::Prune::Exclusive,
            ..Policy::default()
        };
        let plan = plan(&Inputs {
            scope: &tokyo(),
            account: &ScopeAccount::default(),
            desired: &ResolvedScope::by_id(
                Cow::Owned(image.iter().map(|image| (&id, image)).collect()),
                &Selector::default(),
                completeness,
            ),
            observation: &seen(shared, None),
            inventory: &Inventory::default(),
            attempts: &AttemptLog::default(),
            windows: &Windows::default(),
            policy: &policy,
            approved: None,
            clocks: Clocks::machine_only(
                chrono::Utc.with_ymd_and_hms(2026, 6, 1, 0, 0, 0).unwrap(),
            ),
            present: chrono::Utc
                .with_ymd_and_hms(2026, 6, 1, 0, 0, 0)
                .unwrap()
                .into(),
            monotonic: elapsed(0),
        });
        plan.decisions[&id].verdict.clone()
    };
    for (what, named, shared) in [
        ("a SHARE", Some(SHARED), false),
        ("declared unshared", Some(DesiredShare::Unshared), true),
        ("an expiry", Some(until(1)), true),
        ("pruned", None, true),
    ] {
        assert_eq!(
            verdict(named, shared, &Completeness::Whole),
            Verdict::Act,
            "{what}"
        );
        let unknown = verdict(named, shared, &why);
        if named.is_some() {
            assert_eq!(unknown, Verdict::Act, "{what}");
            continue;
        }
        assert!(
            matches!(&unknown, Verdict::Withheld(why) if matches!(**why, Withheld::UnknownManifests(_)))
        );
        let reason = unknown.why_not().expect("a reason");
        assert!(reason.ends_with("git is missing; install it"), "{reason}");
        // A saved plan would not do it later either.
        assert!(!unknown.is_intended());
    }
}

/// The plan for an image that is shared and that no manifest names, with `--prune exclusive`.
fn pruned(own: OwnImages, attempts: &AttemptLog) -> Plan {
    let Observation::Seen(mut seen) = seen(true, None) else {
        panic!("it is seen")
    };
    seen.own = own;
    let seen = Observation::Seen(seen);
    unnamed(&seen, &Inventory::default(), attempts, Prune::Exclusive)
}

#[test]
fn t8_only_images_known_as_the_accounts_own_are_pruned() {
    let none = AttemptLog::default();
    let withheld = |plan: &Plan| match &plan.decisions[&img_a()].verdict {
        Verdict::Withheld(why) => Withheld::clone(why),
        other => panic!("{other:?}"),
    };
    let draft = pruned(OwnImages::NotAsked, &none);
    assert_eq!(withheld(&draft), Withheld::OwnImagesNotAsked);
    assert!(
        needs_own_images(&draft),
        "then the own images are requested"
    );
    let unknown = pruned(OwnImages::Unknown(Unobserved::new("denied")), &none);
    assert_eq!(
        withheld(&unknown),
        Withheld::OwnImagesUnknown("denied".into())
    );
    let known = pruned(own([img_a()]), &none);
    assert_eq!(known.decisions[&img_a()].verdict, Verdict::Act);
    let other = pruned(own([]), &none);
    assert!(other.decisions.is_empty() && !needs_own_images(&other));
    assert_eq!(other.unmanaged.strays[&img_a()].blueprint, "lhbp-1");
    assert!(!other.is_gone(&img_a()), "the blueprint is still there");
    // An image that this run tried to cancel before it was deleted is reported, and not tried again.
    let tried = pruned(own([]), &answers(GONE, 1));
    assert_eq!(withheld(&tried), Withheld::NotOwnImage);
}
