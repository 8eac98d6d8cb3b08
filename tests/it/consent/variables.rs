//! Variables that change whom the program trusts are named before the first request.

use crate::program::{Program, started};

#[test]
fn preview_names_proxy_and_certificates_of_variables() {
    let program = Program::new().file("a.csv", "incidentId,status\n1,Resolved\n");
    for (variable, said) in
        [("SSL_CERT_FILE", "certificates from SSL_CERT_FILE"), ("SSL_CERT_DIR", "from SSL_CERT_DIR")]
    {
        let mut command = program.command("run a.csv --dry-run --base-url https://api.tenants.test");
        command.env(variable, "/somewhere").env("HTTPS_PROXY", "http://me:secret@proxy.test:3128");
        let ended = started(command).end().expect_code(0).expect_text(said);
        let ended = ended.expect_text("through the proxy http://").expect_text("proxy.test:3128");
        assert!(!ended.printed().contains("secret"), "{}", ended.printed());
    }
    let mut command = program.command("run a.csv --dry-run --base-url http://127.0.0.1:9");
    command.env("SSL_CERT_FILE", "/somewhere").env("HTTPS_PROXY", "http://proxy.test:3128");
    let ended = started(command).end().expect_code(0);
    assert!(!ended.printed().contains("SSL_CERT_FILE") && !ended.printed().contains("proxy"), "{}", ended.printed());
}
