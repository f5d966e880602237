//! One target under libFuzzer: `HOLDFAST_FUZZ_TARGET` names it. `scripts/fuzz` builds and runs this.

#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

/// The name of the target.
const TARGET: &str = "HOLDFAST_FUZZ_TARGET";
/// A folder that takes the examples of the target.
const EXAMPLES: &str = "HOLDFAST_FUZZ_EXAMPLES";

fn target() -> &'static Target {
    static CHOSEN: OnceLock<&Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var(TARGET).unwrap_or_default();
        TARGETS.iter().find(|target| target.name == name).expect("HOLDFAST_FUZZ_TARGET is the name of a target")
    })
}

fn write_examples() {
    let Some(folder) = std::env::var_os(EXAMPLES).map(PathBuf::from) else { return };
    for (number, example) in (target().examples)().into_iter().enumerate() {
        let path = folder.join(format!("example-{number:04}"));
        runtime::Files::real().write_atomic(&path, &example, 0o644).expect("the folder of examples can be written");
    }
}

/// A panic that nobody stops ends the process where libFuzzer's wrapper sees it, and not where it begins, as libFuzzer
/// would have it: those of the crate `parquet` are stopped by our own code, which makes errors of them.
fn end_on_unstopped_panics() {
    drop(std::panic::take_hook());
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_none_or(|place| !place.file().contains("/parquet-")) {
            default_hook(panic);
        }
    }));
}

fuzz_target!(
    init: {
        end_on_unstopped_panics();
        write_examples();
    },
    |bytes: &[u8]| {
        (target().run)(bytes);
    }
);
