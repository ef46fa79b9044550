use super::*;
use crate::family::{group, master, stream};

const MASTERS: &[Master] = &[
    master("a", "/a", &[stream(1), group(0x10, 3)]),
    master("b", "/b", &[stream(1), stream(0x12), stream(2)]),
];

#[test]
fn each_stream_is_named_once() {
    const STREAMS: [leasehold_drivers::smmu::v2::Streams; count_streams(MASTERS)] = streams(MASTERS);
    assert_eq!(STREAMS, [stream(1), group(0x10, 3), stream(2)]);
}
