//! The CAM policy that sharekeeper needs, for `doctor --cam-policy`. It must list each action that the API client
//! calls.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;

use crate::api::protocol::wire::Action;
use crate::desired::{Account, CredentialSource};
use crate::model::AccountName;
use crate::report::{ExitStatus, FORMAT_VERSION, dim};

/// The document that `doctor --cam-policy -o json` prints: the exact permissions that each key and role needs.
#[derive(Debug, Serialize)]
pub struct PolicyDocument {
    format_version: u32,
    exit_code: ExitStatus,
    read_only: bool,
    policies: Vec<Grant>,
}

/// A policy, and the keys and roles to attach it to.
#[derive(Debug, Serialize)]
struct Grant {
    /// The keys and roles that need it.
    holders: Vec<String>,
    /// The accounts of the manifests that use these keys and roles.
    accounts: Vec<String>,
    policy: Policy,
}

/// A policy in CAM's format.
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

/// The permissions that one key or role needs.
#[derive(Default)]
struct Needs {
    accounts: BTreeSet<String>,
    actions: BTreeSet<String>,
    /// Roles that it assumes.
    roles: BTreeSet<String>,
}

/// Explains the star in the policy's resource field.
const WHY_ALL: &str = "the resource is `\"*\"` because CVM images are not among the resources of Lighthouse that CAM lists: for an action that is \
    not granted by resource, CAM treats any other value as a refusal";

impl PolicyDocument {
    /// The permissions that `accounts` need. Each role is named by the key or role that assumes it, so that it needs no
    /// other right from them. If `several` account names are in use, STS must be able to tell them apart. Policies of
    /// the accounts in `cvm` need properties that only CVM shows.
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

    /// The text to paste into CAM. If there are several policies, a line before each one names its holder.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for grant in &self.policies {
            if self.policies.len() > 1 {
                let whose = format!("# {}", grant.whose());
                let _ = writeln!(text, "{}", dim(whose));
            }
            // The policy consists of texts and lists, so serializing it cannot fail.
            let policy = serde_json::to_string_pretty(&grant.policy).unwrap_or_default();
            let _ = writeln!(text, "{policy}");
        }
        text
    }

    /// The remarks about the policies. CAM allows no comments, so they are separate.
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

/// One policy for all holders with the same needs.
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

/// The holder of the credentials in `source`, as text.
fn holder(source: &CredentialSource) -> String {
    match source {
        CredentialSource::AssumeRole(assume) => format!("the role {}", assume.role.arn),
        other => format!("the credentials of `{other}`"),
    }
}
