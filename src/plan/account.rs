//! The account that a scope's images belong to, as far as pruning must know it.

use crate::attempts::AccountDoubt;
use crate::model::Uin;

/// The account of a scope, and how certain it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeAccount {
    /// The uin of the root account, if the document or STS gives it.
    pub uin: Option<Uin>,
    /// Whether images may be pruned as images of that account.
    pub proof: AccountProof,
}

/// Whether it is certain that images that no manifest names here are not named under another account name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccountProof {
    /// No other account name could mean this account, or STS has told them apart.
    #[default]
    Certain,
    /// Another name could mean this account, and STS gave no answer; holds the reason.
    Unproven(String),
    /// The account is known now, but the state may hold data of another account. The next run continues.
    AccountChanged(AccountDoubt),
}
