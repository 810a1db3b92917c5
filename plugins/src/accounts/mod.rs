//! passwd, shadow, group and gshadow: parsed tolerantly, edited line by line, written atomically.

pub(crate) mod owner;
