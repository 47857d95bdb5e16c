//! What a run leaves behind: figures, tables, a picture, and the README's block.

pub mod chart;
pub mod machine;
pub mod publish;
pub mod report;
pub mod table;
pub mod worst;
