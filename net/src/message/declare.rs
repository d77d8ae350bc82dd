//! The macro that turns declarations of packets into the message type and its codec.

/// Declares all packets. Each entry is a request or notification, with its direction and, where it
/// is answered, the packet that answers it: `=> Error` or one that is declared in place.
macro_rules! packets {
    ($(
        $(#[$doc:meta])*
        $code:literal $name:ident $direction:literal {
            $($field:ident: $type:ty),* $(,)?
        } $(=> $answer:ident $({ $($answer_field:ident: $answer_type:ty),* $(,)? })?)?;
    )*) => {
        /// A message: one variant for each packet of the protocol.
        #[derive(Clone, PartialEq, Debug)]
        pub enum Message {
            $(
                $(#[$doc])*
                #[doc = concat!("\n\nDirection: ", $direction, ".")]
                $name {
                    $(
                        #[doc = concat!("`", stringify!($type), "`")]
                        $field: $type,
                    )*
                },
                $($(
                    #[doc = concat!("Answers [`Message::", stringify!($name), "`].")]
                    $answer {
                        $(
                            #[doc = concat!("`", stringify!($answer_type), "`")]
                            $answer_field: $answer_type,
                        )*
                    },
                )?)?
            )*
            /// Refuses a request, or confirms one that has no other answer. May come for
            /// anything, also for what is no request.
            Error {
                /// Why.
                code: ErrorCode,
                /// For the reader of a log; UTF-8, as a rule.
                text: Bytes,
            },
        }

        impl Message {
            /// The code on the wire; that of answers has the highest of its 16 bits set.
            pub const fn code(&self) -> u16 {
                match self {
                    $(
                        Self::$name { .. } => $code,
                        $($(
                            Self::$answer { $($answer_field: _,)* } => $code | ANSWER,
                        )?)?
                    )*
                    Self::Error { .. } => ANSWER,
                }
            }

            /// Its name in NEO.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(
                        Self::$name { .. } => stringify!($name),
                        $($(
                            Self::$answer { $($answer_field: _,)* } => stringify!($answer),
                        )?)?
                    )*
                    Self::Error { .. } => "Error",
                }
            }

            pub(crate) fn encode_arguments(&self, out: &mut Encoder) {
                match self {
                    $(
                        Self::$name { $($field),* } => {
                            out.array_header(count!($($field)*));
                            $($field.encode(out);)*
                        }
                        $($(
                            Self::$answer { $($answer_field),* } => {
                                out.array_header(count!($($answer_field)*));
                                $($answer_field.encode(out);)*
                            }
                        )?)?
                    )*
                    Self::Error { code, text } => {
                        out.array_header(2);
                        code.encode(out);
                        text.encode(out);
                    }
                }
            }

            pub(crate) fn decode_arguments(
                code: u16,
                input: &mut Decoder<'_>,
            ) -> Result<Self, Malformed> {
                match code {
                    $(
                        $code => {
                            input.array_header_of(count!($($field)*))?;
                            Ok(Self::$name { $($field: Field::decode(input)?,)* })
                        }
                    )*
                    ANSWER => {
                        input.array_header_of(2)?;
                        Ok(Self::Error { code: Field::decode(input)?, text: Field::decode(input)? })
                    }
                    _ => Self::decode_answer(code, input),
                }
            }

            fn decode_answer(code: u16, input: &mut Decoder<'_>) -> Result<Self, Malformed> {
                $($($(
                    if code == $code | ANSWER {
                        input.array_header_of(count!($($answer_field)*))?;
                        return Ok(Self::$answer { $($answer_field: Field::decode(input)?,)* });
                    }
                )?)?)*
                Err(Malformed::Code(code))
            }
        }

        #[cfg(test)]
        impl Message {
            /// One message of each kind, with any values.
            pub(crate) fn samples(random: &mut model::Random) -> Vec<Self> {
                vec![
                    $(
                        Self::$name { $($field: Sample::sample(random),)* },
                        $($(
                            Self::$answer { $($answer_field: Sample::sample(random),)* },
                        )?)?
                    )*
                    Self::Error { code: Sample::sample(random), text: Sample::sample(random) },
                ]
            }
        }

        /// All packets but `Error`, in the order of their codes.
        const INFORMATION: &[PacketInformation] = &[$(
            PacketInformation {
                code: $code,
                name: stringify!($name),
                direction: $direction,
                fields: &[$((stringify!($field), stringify!($type)),)*],
                answer: answer_name!($($answer)?),
                answer_fields: &[
                    $($($((stringify!($answer_field), stringify!($answer_type)),)*)?)?
                ],
            },
        )*];
    };
}

/// How many fields there are.
macro_rules! count {
    ($($field:ident)*) => {
        0 $(+ { let _ = stringify!($field); 1 })*
    };
}

macro_rules! answer_name {
    () => {
        None
    };
    ($answer:ident) => {
        Some(stringify!($answer))
    };
}

pub(crate) use {answer_name, count, packets};
