//! The disk for recordings is given up over the socket alone.

use super::ask_socket;
use super::house::House;

#[test]
fn only_the_socket_ejects() {
    let house = House::open();
    let refused = house.ask("POST /api/v1/storage/eject HTTP/1.1\r\nHost: drone");
    assert_eq!(refused.status, 403);
    assert!(refused.json()["detail"].as_str().unwrap().contains("windhover storage eject"), "it says how");
    let answer = ask_socket(&house, "POST /api/v1/storage/eject");
    let why = "the disk was not given up: nothing is recorded here, so there is no disk to give up";
    assert_eq!((answer.status, &answer.json()["detail"]), (500, &why.into()));
    assert_eq!(ask_socket(&house, "GET /api/v1/storage/eject").status, 405);
}
