//! Whose images a scope's are, as far as pruning must know it.

use crate::attempts::AccountDoubt;
use crate::model::Uin;

/// The account of a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeAccount {
    /// The root account, where the document or STS names it.
    pub uin: Option<Uin>,
    /// Whether images may be pruned as that account's.
    pub proof: AccountProof,
}

/// Whether it is certain that what manifests do not name here is not named under another account name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccountProof {
    /// There is nothing that the account could be confused with, or STS has told it apart.
    #[default]
    Certain,
    /// It could be confused, and STS did not tell; holds why.
    Unproven(String),
    /// It is known now, and what the state knows may be of another account. The next run goes on.
    AccountChanged(AccountDoubt),
}
