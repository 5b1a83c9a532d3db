#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stack_fuzz::short(bytes));
