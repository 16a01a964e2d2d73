//! The CAM policy that sharekeeper needs, for `doctor --cam-policy`. It must list each action that the API client calls.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;

use crate::api::protocol::wire::Action;
use crate::desired::{Account, CredentialSource};
use crate::model::AccountName;
use crate::report::{ExitStatus, FORMAT_VERSION, dim};

/// What `doctor --cam-policy -o json` prints: what each key and role must be allowed, and no more.
#[derive(Debug, Serialize)]
pub struct PolicyDocument {
    format_version: u32,
    exit_code: ExitStatus,
    read_only: bool,
    policies: Vec<Grant>,
}

/// A policy, and whom to attach it to.
#[derive(Debug, Serialize)]
struct Grant {
    /// The keys and roles that need it.
    holders: Vec<String>,
    /// The accounts of the manifests that work with them.
    accounts: Vec<String>,
    policy: Policy,
}

/// As CAM takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Statement {
    effect: &'static str,
    action: Vec<String>,
    resource: Vec<String>,
}

/// What one key or role must be able to do.
#[derive(Default)]
struct Needs {
    accounts: BTreeSet<String>,
    actions: BTreeSet<String>,
    /// Roles that it assumes.
    roles: BTreeSet<String>,
}

/// For whoever wonders about the star.
const WHY_ALL: &str = "`\"*\"` as the resource: CVM images are not among the resources of Lighthouse that CAM lists, and for an action that is \
    not granted by resource CAM takes any other for a refusal";

impl PolicyDocument {
    /// What `accounts` need. Each role is named by those who assume it, so that it needs no other right from them.
    /// With `several` account names in use, STS must be able to tell them apart; policies of the accounts `cvm` ask for
    /// what only CVM tells.
    pub fn new(
        accounts: &BTreeMap<AccountName, Option<&Account>>,
        cvm: &BTreeSet<AccountName>,
        several: bool,
        read_only: bool,
    ) -> Self {
        let mut needs: BTreeMap<String, Needs> = BTreeMap::new();
        for (name, document) in accounts {
            let source =
                document.map_or(&CredentialSource::Ambient, |account| &account.credentials);
            let has_uin = document.is_some_and(|account| account.uin.is_some());
            let caller = needs.entry(holder(source)).or_default();
            caller.accounts.insert(name.to_string());
            let actions = Action::ALL.into_iter().filter(|action| match action {
                Action::DescribeBlueprints
                | Action::DescribeImagesToShare
                | Action::DescribeInstances => true,
                Action::ModifyImageSharePermission => !read_only,
                Action::GetCallerIdentity => has_uin || several,
                Action::DescribeImages => cvm.contains(name),
            });
            caller.actions.extend(actions.map(Action::permission));
            let mut above = source;
            while let CredentialSource::AssumeRole(assume) = above {
                let below = needs.entry(holder(&assume.source)).or_default();
                below.accounts.insert(name.to_string());
                below.roles.insert(assume.role.arn.clone());
                above = &assume.source;
            }
        }
        Self {
            format_version: FORMAT_VERSION,
            exit_code: ExitStatus::Done,
            read_only,
            policies: grants(needs),
        }
    }

    /// The process's exit status, which is also the document's.
    pub fn exit_status(&self) -> ExitStatus {
        self.exit_code
    }

    /// As it is pasted into CAM. Where there are several, a line before each says whose it is.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for grant in &self.policies {
            if self.policies.len() > 1 {
                let whose = format!("# {}", grant.whose());
                let _ = writeln!(text, "{}", dim(whose));
            }
            // A policy is texts and lists, which can always be written.
            let policy = serde_json::to_string_pretty(&grant.policy).unwrap_or_default();
            let _ = writeln!(text, "{policy}");
        }
        text
    }

    /// What stands in no policy, because CAM takes no comments.
    pub fn comments(&self) -> Vec<String> {
        let whose = self
            .policies
            .iter()
            .map(|grant| format!("for {}", grant.whose()));
        whose.chain([WHY_ALL.to_owned()]).collect()
    }
}

impl Grant {
    fn whose(&self) -> String {
        format!(
            "{} (account {})",
            self.holders.join(", "),
            self.accounts.join(", ")
        )
    }
}

/// Those who need the same share a policy.
fn grants(needs: BTreeMap<String, Needs>) -> Vec<Grant> {
    let mut grants: Vec<Grant> = Vec::new();
    for (holder, needs) in needs {
        let (accounts, policy) = (needs.accounts.clone(), needs.policy());
        match grants.iter_mut().find(|grant| grant.policy == policy) {
            Some(grant) => {
                grant.holders.push(holder);
                grant.accounts.extend(accounts);
                grant.accounts.sort();
                grant.accounts.dedup();
            }
            None => grants.push(Grant {
                holders: vec![holder],
                accounts: accounts.into_iter().collect(),
                policy,
            }),
        }
    }
    grants
}

impl Needs {
    fn policy(self) -> Policy {
        let allow = |action, resource| Statement {
            effect: "allow",
            action,
            resource,
        };
        let mut statement = Vec::new();
        if !self.actions.is_empty() {
            let actions = self.actions.into_iter().collect();
            statement.push(allow(actions, vec!["*".into()]));
        }
        if !self.roles.is_empty() {
            let roles = self.roles.into_iter().collect();
            statement.push(allow(vec!["sts:AssumeRole".into()], roles));
        }
        Policy {
            version: "2.0",
            statement,
        }
    }
}

/// Who calls with the credentials of `source`.
fn holder(source: &CredentialSource) -> String {
    match source {
        CredentialSource::AssumeRole(assume) => format!("the role {}", assume.role.arn),
        other => format!("the credentials of `{other}`"),
    }
}
