//! The examples do what they say, against the emulator.

#[expect(dead_code, reason = "its `main` is not called here")]
#[path = "../../examples/send_file.rs"]
mod send_file;

use crate::program::{Program, TOKEN};

#[test]
fn example_sends_a_file_once() {
    let program = Program::new().file("a.csv", "incidentId,status\n4,Resolved\n5,Resolved\n").emulator(|_| ());
    let (file, dir) = (program.path("a.csv"), program.path("example"));
    let send = || {
        let (file, dir) = (file.to_string_lossy(), dir.to_string_lossy());
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let sent = runtime.block_on(send_file::send_file(&file, &program.origin(), TOKEN, &dir));
        sent.expect("is sent")
    };
    assert_eq!(send(), 2);
    // The second start finds that both updates were applied.
    assert_eq!(send(), 0);
    assert_eq!(program.requests().iter().filter(|request| request.took_effect).count(), 2);
}
