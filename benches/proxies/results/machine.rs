//! Where it ran, as far as it matters to the figures: the processor and the kernel, never the machine's name.

use std::fs;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub kernel: String,
    pub transparent_hugepages: String,
}

impl Machine {
    pub fn read() -> Machine {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let kernel = read("/proc/sys/kernel/osrelease");
        let hugepages = read("/sys/kernel/mm/transparent_hugepage/enabled");
        let chosen = hugepages.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(chosen, _)| chosen);
        Machine {
            cpu: processor(&read("/proc/cpuinfo")),
            // What follows the number may name the person or machine that built the kernel.
            kernel: kernel.trim().split('-').next().unwrap_or_default().to_owned(),
            transparent_hugepages: chosen.unwrap_or("unknown").to_owned(),
        }
    }

    /// The name of its results' files: the processor in lower case and hyphens.
    pub fn slug(&self) -> String {
        let plain = self.cpu.replace("(R)", " ").replace("(TM)", " ").to_ascii_lowercase();
        let words = plain.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("-")
    }
}

/// Its name; where a hypervisor hides the model, family and model number tell generations apart.
pub fn processor(cpuinfo: &str) -> String {
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|found| found.trim() == name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let name = field("model name").unwrap_or_else(|| "unknown".to_owned());
    match (field("cpu family"), field("model")) {
        (Some(family), Some(model)) if !name.contains(|c: char| c.is_ascii_digit()) => {
            format!("{name} (family {family}, model {model})")
        }
        _ => name,
    }
}
