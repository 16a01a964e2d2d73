//! Tests that a clone of the board is cheap and stays unchanged.

use std::sync::Arc;
use std::time::Duration;

use super::tests::plan_in;
use super::*;
use crate::history::WriteResult;
use crate::model::fixtures_tests::{at_minute, img_a, scope};
use crate::model::{Cause, Permission};
use crate::plan::Verdict;

fn change(scope: &Scope) -> Change {
    Change {
        at: at_minute(3),
        key: ImageKey {
            scope: scope.clone(),
            image: img_a(),
        },
        permission: Permission::Share,
        cause: Cause::Declared,
        result: WriteResult::Applied,
        code: None,
        message: None,
        request_id: None,
        source: None,
    }
}

/// A change of the board.
type Event = Box<dyn Fn(&mut Board, &Scope)>;

/// All events of a scope other than observations.
fn events_beside_observations() -> [Event; 5] {
    [
        Box::new(|board, scope| board.pass_began(scope, at_minute(2))),
        Box::new(|board, scope| board.answered(change(scope))),
        Box::new(|board, scope| {
            board.retries_scheduled(scope, std::iter::empty());
        }),
        Box::new(|board, scope| {
            board.report_expiring(scope, Duration::from_secs(60), at_minute(3));
        }),
        Box::new(|board, scope| {
            let (result, took) = (PassResult::Synced, Duration::ZERO);
            board.pass_ended(scope, result, took, Activity::New, at_minute(4));
        }),
    ]
}

#[test]
fn b3_a_clone_of_the_board_shares_all_scopes_and_a_change_copies_no_image() {
    let (tokyo, seoul) = (scope("ap-tokyo"), scope("ap-seoul"));
    let mut board = Board::new(at_minute(0), false);
    for scope in [&tokyo, &seoul] {
        board.pass_began(scope, at_minute(0));
        board.planned(&plan_in(scope, Verdict::InSync), at_minute(1));
    }
    for (position, event) in events_beside_observations().into_iter().enumerate() {
        let kept = board.clone();
        for scope in [&tokyo, &seoul] {
            assert!(Arc::ptr_eq(&board.scopes[scope], &kept.scopes[scope]));
        }
        let before = format!("{kept:?}");
        event(&mut board, &tokyo);
        assert!(board.version() > kept.version() || position == 3);
        let images = |board: &Board| Arc::clone(&board.scopes[&tokyo].images);
        assert!(Arc::ptr_eq(&images(&board), &images(&kept)), "{position}");
        let other = Arc::ptr_eq(&board.scopes[&seoul], &kept.scopes[&seoul]);
        assert!(other, "{position}");
        assert_eq!(format!("{kept:?}"), before, "{position}");
    }
    let kept = board.clone();
    board.planned(&plan_in(&tokyo, Verdict::Act), at_minute(9));
    assert!(kept.scopes[&tokyo].images[&img_a()].ready.holds());
    assert!(!board.scopes[&tokyo].images[&img_a()].ready.holds());
    assert!(Arc::ptr_eq(&board.scopes[&seoul], &kept.scopes[&seoul]));
}

#[test]
fn b3_a_board_can_be_sent_to_another_thread() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Board>();
}
