//! Messages as bytes: MessagePack, strictly typed.

mod decode;
mod encode;
mod field;
mod framer;

pub(crate) use decode::Decoder;
pub use decode::Malformed;
pub(crate) use encode::Encoder;
pub(crate) use field::Field;
pub(crate) use framer::Framer;
pub use framer::Limits;

#[cfg(test)]
pub(crate) mod tests;
