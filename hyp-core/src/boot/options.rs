//! What boot arguments may change, where the board lets them.

use super::BootError;
use crate::board::BoardConfig;
use crate::fault::{Policy, PolicyError};
use crate::log;

/// The value of `name` (with its equals sign) among `arguments`: the last one, as Linux has it.
pub(super) fn argument<'a>(arguments: &'a str, name: &str) -> Option<&'a str> {
    arguments
        .split_ascii_whitespace()
        .rev()
        .find_map(|word| word.strip_prefix(name))
}

/// The log's level.
pub(super) fn log_level(config: &BoardConfig, arguments: &str) {
    if let Some(level) = argument(arguments, "leasehold.log=") {
        if !config.overrides {
            log::warn!("this board does not let boot arguments change the log level");
        } else if !log::set_level(level) {
            log::warn!("there is no log level {=str}", level);
        }
    }
}

/// The board's fault policy, or what the arguments say.
pub(super) fn policy(config: &BoardConfig, arguments: &str) -> Result<Policy, BootError> {
    let Some(text) = argument(arguments, "leasehold.fault=") else {
        return Ok(config.policy);
    };
    if !config.overrides {
        log::warn!("this board does not let boot arguments change the fault policy");
        return Ok(config.policy);
    }
    match Policy::parse(text, &config.policy) {
        Ok(policy) => {
            log::info!("fault policy from boot arguments: {=str}", text);
            Ok(policy)
        }
        Err(error) => {
            let error: PolicyError<'_> = error;
            log::error!("fault policy {=str}: {}", text, log::Shown(&error));
            Err(BootError::Policy)
        }
    }
}
