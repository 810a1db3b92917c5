//! Checksums. Hashes of passwords are not among them: they belong to `users`.

use super::Function;
use crate::facts::hexadecimal;
use sha2::Digest;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["sha1sum"],
        "TEXT",
        "SHA-1 in hexadecimal",
        (r#"{{ sha1sum "abc" }}"#, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        |call| Ok(hexadecimal(&sha1::Sha1::digest(call.text(0)?.as_bytes())).into()),
    ),
    Function::new(
        &["sha256sum"],
        "TEXT",
        "SHA-256 in hexadecimal",
        (r#"{{ sha256sum "abc" | trunc 16 }}"#, "ba7816bf8f01cfea"),
        |call| Ok(hexadecimal(&sha2::Sha256::digest(call.text(0)?.as_bytes())).into()),
    ),
    Function::new(
        &["sha512sum"],
        "TEXT",
        "SHA-512 in hexadecimal",
        (r#"{{ sha512sum "abc" | trunc 16 }}"#, "ddaf35a193617aba"),
        |call| Ok(hexadecimal(&sha2::Sha512::digest(call.text(0)?.as_bytes())).into()),
    ),
    Function::new(
        &["adler32sum"],
        "TEXT",
        "Adler-32 as a decimal number",
        (r#"{{ adler32sum "Wikipedia" }}"#, "300286872"),
        |call| {
            let sums = call.text(0)?.bytes().fold((1u32, 0u32), |(a, b), byte| {
                let a = (a + u32::from(byte)) % 65_521;
                (a, (b + a) % 65_521)
            });
            Ok((sums.1 << 16 | sums.0).to_string().into())
        },
    ),
];
