//! The environment variables that are used: all of them for `help environment`, and the one that a misspelt name may
//! mean. Values are never read here.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, Command};

use super::args::{command_line, put_row};
use super::output;
use crate::api::credentials::TERRAFORM;

const PREFIX: &str = "SHAREKEEPER_";
/// The greatest distance of a misspelt name from a known one: letters that are wrong, missing, added or swapped.
const EDITS_MAX: usize = 2;

type Variables = &'static [(&'static [&'static str], &'static str)];

/// Variables that replace no flag, by subject. `host` and `api` decide which ones are read; a test compares the list
/// with the source.
const OTHERS: [(&str, Variables); 4] = [
    (
        "Credentials and accounts (docs/credentials.md)",
        &[
            (
                &["TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"],
                "the key pair",
            ),
            (
                &["TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"],
                "the token of a temporary key pair",
            ),
            (
                &["TENCENTCLOUD_ROLE_ARN", "TENCENTCLOUD_ROLE_SESSION_NAME"],
                "the role that tccli assumes",
            ),
            (&["TCCLI_PROFILE"], "the profile of tccli"),
            (
                &["TENCENTCLOUD_CREDENTIALS_FILE"],
                "the SDK's file of credentials",
            ),
            (
                &[
                    "TKE_REGION",
                    "TKE_PROVIDER_ID",
                    "TKE_WEB_IDENTITY_TOKEN_FILE",
                    "TKE_ROLE_ARN",
                ],
                "the role of a pod in TKE",
            ),
            (
                &["SHAREKEEPER_METADATA_URL"],
                "a simulator of the machine's metadata, on loopback",
            ),
            (
                &TERRAFORM,
                "Terraform's, which would change the account: refused",
            ),
            (
                &["SHAREKEEPER_IGNORE_TERRAFORM"],
                "`1`: ignore Terraform's variables",
            ),
        ],
    ),
    (
        "Network",
        &[
            (
                &["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"],
                "the proxy, also in lower case",
            ),
            (&["NO_PROXY"], "hosts that are called without a proxy"),
            (
                &["REQUEST_METHOD"],
                "if set, no proxy is used, as in CGI programs",
            ),
            (
                &["SSL_CERT_FILE", "SSL_CERT_DIR"],
                "certificates to trust in place of the system's",
            ),
        ],
    ),
    (
        "Directories, git and the user",
        &[
            (
                &["XDG_STATE_HOME", "HOME"],
                "the default place of the state",
            ),
            (
                &["PATH", "XDG_CONFIG_HOME"],
                "where git and its settings are found",
            ),
            (&["GIT_INDEX_FILE"], "the index of the manifests' checkout"),
            (
                &[
                    "GIT_SSH_COMMAND",
                    "GIT_ASKPASS",
                    "SSH_AUTH_SOCK",
                    "GIT_SSL_CAINFO",
                    "GIT_SSL_CAPATH",
                ],
                "passed on to git for fetches",
            ),
            (
                &["SUDO_USER", "USER", "LOGNAME"],
                "the person named in the history; the first that is set",
            ),
        ],
    ),
    (
        "Terminal and supervisor",
        &[
            (
                &["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM"],
                "whether output has colour and can be refreshed",
            ),
            (
                &["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"],
                "set by systemd, which `run` notifies",
            ),
        ],
    ),
];

/// For each variable, the flags that it replaces and the commands that have them. An empty set means every command.
type Meanings = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The text that `help environment` prints.
pub(super) fn help() -> String {
    let meanings = meanings();
    let mut text =
        String::from("Variables that replace flags; an empty variable counts as not set:\n");
    for (variable, flags) in &meanings {
        let flags: Vec<_> = flags
            .iter()
            .map(|(flag, commands)| match commands.is_empty() {
                true => format!("{flag} of every command"),
                false => {
                    let commands: Vec<_> = commands.iter().map(String::as_str).collect();
                    format!("{flag} of {}", commands.join(", "))
                }
            })
            .collect();
        put_variable(&mut text, &[variable], &flags.join("; "));
    }
    for (heading, variables) in OTHERS {
        text.push_str(&format!("\n{heading}:\n"));
        for (names, what) in variables {
            put_variable(&mut text, names, what);
        }
    }
    text.push_str(
        "\nA flag on the command line overrides its variable. SHAREKEEPER_PATH may hold several paths, separated by `:`.\n\
         SHAREKEEPER_LISTEN is the address of `run` (default 127.0.0.1:7979) and of `sim` (default 127.0.0.1:7980).\n",
    );
    text
}

fn put_variable(text: &mut String, names: &[&str], what: &str) {
    for name in names {
        text.push_str(&format!("  {name}\n"));
    }
    put_row(text, "", what);
}

fn meanings() -> Meanings {
    let command = command_line();
    let mut meanings = Meanings::new();
    for flag in command.get_arguments() {
        if let Some((variable, name)) = variable_and_flag(flag) {
            // An empty set of commands means that every command has the flag.
            meanings
                .entry(variable)
                .or_default()
                .entry(name)
                .or_default();
        }
    }
    for below in command.get_subcommands() {
        collect(below, &mut meanings);
    }
    meanings
}

fn collect(command: &Command, meanings: &mut Meanings) {
    for flag in command.get_arguments().filter(|flag| !flag.is_global_set()) {
        if let Some((variable, name)) = variable_and_flag(flag) {
            let commands = meanings.entry(variable).or_default().entry(name);
            commands.or_default().insert(command.get_name().to_owned());
        }
    }
    for below in command.get_subcommands() {
        collect(below, meanings);
    }
}

fn variable_and_flag(flag: &Arg) -> Option<(String, String)> {
    let variable = flag.get_env()?.to_string_lossy().into_owned();
    let name = match flag.get_long() {
        Some(long) => format!("--{long}"),
        None => "PATH".to_owned(),
    };
    Some((variable, name))
}

/// Every variable with our prefix that is read somewhere.
fn known() -> BTreeSet<String> {
    let others = OTHERS.iter().flat_map(|(_, variables)| variables.iter());
    let others = others.flat_map(|(names, _)| names.iter());
    let ours = others.filter(|name| name.starts_with(PREFIX));
    let ours = ours.map(|name| (*name).to_owned());
    meanings().into_keys().chain(ours).collect()
}

/// Texts about unknown variables whose names are close to a known one.
pub(super) fn misspelt(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let is_ours = |name: &String| name.starts_with(PREFIX) && !is_service_link(name);
    let ours: Vec<_> = names.into_iter().filter(is_ours).collect();
    if ours.is_empty() {
        return Vec::new();
    }
    let known = known();
    let unknown = ours.into_iter().filter(|name| !known.contains(name));
    let told = unknown.filter_map(|name| {
        let distance = |known: &&String| strsim::damerau_levenshtein(&name, known);
        let nearest = known.iter().min_by_key(distance)?;
        (distance(&nearest) <= EDITS_MAX)
            .then(|| format!("{name} is not known; did you mean {nearest}?"))
    });
    told.collect()
}

/// Warns about misspelt variables of this process. A log of JSON lines stays in that form.
pub(super) fn warn_of_misspelt(is_log: bool) {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for warning in misspelt(names) {
        match is_log {
            true => tracing::warn!("{warning}"),
            false => output::warn(warning),
        }
    }
}

/// Whether Kubernetes sets the variable for a service whose name begins with our prefix. In its namespace, each pod has
/// a dozen of them for each service.
fn is_service_link(name: &str) -> bool {
    let words: Vec<_> = name.split('_').collect();
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let is_protocol = |word: &str| matches!(word, "TCP" | "UDP" | "SCTP");
    (1..words.len()).any(|at| match &words[at..] {
        ["PORT"] | ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..] => true,
        ["PORT", number, protocol] => is_number(number) && is_protocol(protocol),
        ["PORT", number, protocol, "PROTO" | "PORT" | "ADDR"] => {
            is_number(number) && is_protocol(protocol)
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str) -> Option<String> {
        misspelt([name.to_owned()]).pop()
    }

    #[test]
    fn n11_a_name_within_two_letters_of_a_known_one_is_warned_of() {
        for (name, meant) in [
            ("SHAREKEEPER_STATEDIR", "SHAREKEEPER_STATE_DIR"),
            ("SHAREKEEPER_STATE_DRI", "SHAREKEEPER_STATE_DIR"),
            ("SHAREKEEPER_REGIONS", "SHAREKEEPER_REGION"),
            ("SHAREKEEPER_MAX_CANCEL", "SHAREKEEPER_MAX_CANCELS"),
            ("SHAREKEEPER_METADATA_URI", "SHAREKEEPER_METADATA_URL"),
            ("SHAREKEEPER_LOGLEVEL", "SHAREKEEPER_LOG_LEVEL"),
        ] {
            let expected = format!("{name} is not known; did you mean {meant}?");
            assert_eq!(told(name), Some(expected));
        }
        for name in known() {
            assert_eq!(told(&name), None);
        }
        for name in [
            "SHAREKEEPER_HELLO",
            "SHAREKEEPER_",
            "SHAREKEPER_STATE_DIR",
            "PATH",
        ] {
            assert_eq!(told(name), None, "{name}");
        }
    }

    #[test]
    fn n11_links_of_kubernetes_to_a_service_are_no_misspelt_names() {
        for name in [
            "SHAREKEEPER_PORT",
            "SHAREKEEPER_SERVICE_HOST",
            "SHAREKEEPER_SERVICE_PORT",
            "SHAREKEEPER_SERVICE_PORT_HTTP",
            "SHAREKEEPER_PORT_7979_TCP",
            "SHAREKEEPER_PORT_7979_TCP_PROTO",
            "SHAREKEEPER_PORT_7979_TCP_PORT",
            "SHAREKEEPER_PORT_7979_TCP_ADDR",
            "SHAREKEEPER_METRICS_PORT",
            "SHAREKEEPER_METRICS_SERVICE_HOST",
            "SHAREKEEPER_METRICS_PORT_7979_UDP_ADDR",
        ] {
            assert!(is_service_link(name), "{name}");
            assert_eq!(told(name), None, "{name}");
        }
        for name in [
            "SHAREKEEPER_STATEDIR",
            "SHAREKEEPER_PORT_X_TCP",
            "SHAREKEEPER_POLL",
        ] {
            assert!(!is_service_link(name), "{name}");
        }
    }

    #[test]
    fn nc3_the_topic_names_each_variable_and_no_value() {
        let help = help();
        for name in known() {
            assert!(help.contains(&format!("  {name}\n")), "{name}: {help}");
        }
        assert!(help.contains("--listen of run, sim"), "{help}");
    }
}
