//! The whole daemon from the outside: real clients, a real disk.

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod clients;
mod crowds;
mod encrypted;
mod floods;
mod forgeries;
mod last_good;
mod leaks;
mod logins;
mod refusals;
mod reload;
mod resets;
mod slate;
mod storage;
mod watching;
