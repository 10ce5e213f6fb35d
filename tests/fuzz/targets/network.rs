#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| windhover_fuzz::network(data));
