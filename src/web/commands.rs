//! Commands that a person can copy, with the state directory, the manifests and the simulator of this process. They are
//! made of typed parts only, so that foreign text can never become a command.

use super::html::{Html, write_html};
use super::page::Page;
use crate::model::{AccountName, ImageId, Scope};
use crate::status::RunSettings;
use crate::words::shell;

/// Makes commands for the process that the board belongs to.
#[derive(Clone, Copy)]
pub(super) struct Commands<'a>(&'a RunSettings);

impl Commands<'_> {
    /// The command that ends the suspension with this number.
    fn resume(self, id: u64) -> Option<String> {
        self.of_state(format!("resume {id}"))
    }

    /// The command that lets a parked image be reconciled again.
    fn unpark(self, scope: &Scope, image: &ImageId) -> Option<String> {
        let Scope { account, region } = scope;
        let picked = format!("--account {account} --region {region} --image {image}");
        self.of_state(format!("resume {picked}"))
    }

    /// The command that confirms that this many shares are known to be gone.
    fn accept(self, scope: &Scope, lost: usize) -> Option<String> {
        self.of_state(format!("accept {scope}={lost}"))
    }

    /// The command that makes sharekeeper the owner of an image's share.
    fn adopt(self, scope: &Scope, image: &ImageId) -> Option<String> {
        let Scope { account, region } = scope;
        let paths = self.paths()?;
        let picked = format!("--account {account} --region {region} --image {image}");
        self.of_target(format!("adopt {paths} {picked}"))
    }

    /// The command that explains the status of an image.
    fn explain(self, scope: &Scope, image: &ImageId) -> Option<String> {
        let Scope { account, region } = scope;
        let paths = self.paths()?;
        self.of_target(format!(
            "explain {image} {paths} --account {account} --region {region}"
        ))
    }

    /// The command that checks what prevents work in an account.
    fn doctor(self, account: &AccountName) -> Option<String> {
        let paths = self.paths()?;
        self.of_target(format!("doctor {paths} --account {account}"))
    }

    /// The command that has everything read and tried at once.
    fn retry(self) -> String {
        format!("kill -HUP {}", self.0.pid)
    }

    fn paths(self) -> Option<String> {
        let paths: Vec<_> = self.0.manifests.iter().map(|path| shell(path)).collect();
        (!paths.is_empty()).then(|| paths.join(" "))
    }

    /// Completes a command that uses the API as well as the state.
    fn of_target(self, words: String) -> Option<String> {
        let endpoint = self.0.endpoint.as_deref();
        let endpoint = endpoint.map(|url| format!(" --endpoint {}", shell(url)));
        self.of_state(words + &endpoint.unwrap_or_default())
    }

    /// Completes a command that uses the state.
    fn of_state(self, words: String) -> Option<String> {
        let directory = shell(self.0.state_dir.as_deref()?);
        let sim = if self.0.uses_sim { " --sim" } else { "" };
        Some(format!("sharekeeper {words}{sim} --state-dir {directory}"))
    }
}

/// An action that a person can take next.
#[derive(Clone, Copy)]
pub(super) enum Remedy<'a> {
    Resume(u64),
    Unpark(&'a Scope, &'a ImageId),
    Accept(&'a Scope, usize),
    Adopt(&'a Scope, &'a ImageId),
    Explain(&'a Scope, &'a ImageId),
    Doctor(&'a AccountName),
    Retry,
}

impl Page<'_> {
    /// Adds a remedy as a command to copy, preceded by what it does. Adds nothing if there is no such command.
    pub(super) fn remedy(&self, html: &mut Html, remedy: Remedy<'_>) {
        let Some(commands) = self.board.run_settings().map(Commands) else {
            return;
        };
        let (what, command) = match remedy {
            Remedy::Resume(id) => ("to end it", commands.resume(id)),
            Remedy::Unpark(scope, image) => ("to resume it", commands.unpark(scope, image)),
            Remedy::Accept(scope, lost) => (
                "if they were removed on purpose",
                commands.accept(scope, lost),
            ),
            Remedy::Adopt(scope, image) => ("to adopt it", commands.adopt(scope, image)),
            Remedy::Explain(scope, image) => ("to see why", commands.explain(scope, image)),
            Remedy::Doctor(account) => ("to check it", commands.doctor(account)),
            Remedy::Retry => ("to try at once", Some(commands.retry())),
        };
        if let Some(command) = command {
            write_html!(
                html,
                "<span class=\"command\"><small>",
                (what),
                ":</small> <code>",
                (command),
                "</code></span> "
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Region;
    use crate::plan::Policy;

    fn settings() -> RunSettings {
        RunSettings {
            policy: Policy::DEFAULT,
            state_dir: Some("/var/lib/it's mine".into()),
            manifests: vec!["/srv/mani fests".into()],
            uses_sim: false,
            endpoint: None,
            pid: 4_711,
        }
    }

    #[test]
    fn n2_commands_reach_this_process_whatever_characters_its_paths_have() {
        let scope = Scope {
            account: AccountName::new("prod").expect("a name"),
            region: Region::first(),
        };
        let image = ImageId::first();
        let typical = settings();
        let state = r"--state-dir '/var/lib/it'\''s mine'";
        let commands = Commands(&typical);
        assert_eq!(
            commands.resume(3),
            Some(format!("sharekeeper resume 3 {state}"))
        );
        assert_eq!(
            commands.explain(&scope, &image),
            Some(format!(
                "sharekeeper explain img-0 '/srv/mani fests' --account prod --region {} {state}",
                scope.region
            ))
        );
        assert_eq!(commands.retry(), "kill -HUP 4711");
        let simulated = RunSettings {
            uses_sim: true,
            state_dir: Some("/s".into()),
            ..settings()
        };
        assert_eq!(
            Commands(&simulated).accept(&scope, 40),
            Some(format!(
                "sharekeeper accept {scope}=40 --sim --state-dir /s"
            ))
        );
        // No command is better than one for another state.
        let untypable = RunSettings {
            state_dir: None,
            ..settings()
        };
        assert_eq!(Commands(&untypable).resume(3), None);
    }
}
