//! What a guest does for its host: take a password, when it is made and while it runs, and hold its file systems still.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use dewpoint_engine::{
    Engine, Error, Filesystem, FilesystemKind, ImageName, MachineSpec, Power, Storage, UserDataOutcome, VolumeId,
    VolumeSpec, conformance::wait_until, qemu::QemuEngine,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};
use uuid::Uuid;

use crate::lab::{BOOT_LIMIT, ID, Lab, skip};

const PASSWORD: &str = "open sesame";
/// The same as crypt(5) writes it.
const HASH: &str = "$6$dewpoint$S.Mzt7kFSU/3LnDKZKNaf1VoMDbM/5E4/FvAYUtb9SmCn1ozha6yWOcGL.JtwBY5RWPeVpPvgL.M0cPDLV6Jb/";
const OTHER_HASH: &str = "$6$other$notarealhash";

impl Lab {
    /// Waits until the guest has started its agent.
    pub(crate) async fn agent_listens(&self) {
        self.in_guest(ID, "pidof qemu-ga > /dev/null").await;
    }

    /// Runs a command in the guest as one does who has only the password.
    async fn ssh_by_password(&self, command: &str) -> std::process::Output {
        let ask = self.top.path().join("ask");
        fs::write(&ask, format!("#!/bin/sh\necho '{PASSWORD}'\n")).expect("written");
        fs::set_permissions(&ask, fs::Permissions::from_mode(0o700)).expect("a mode");
        let address = self.ssh_address().await;
        let mut ssh = tokio::process::Command::new("ssh");
        ssh.args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]);
        ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "PreferredAuthentications=password"]);
        ssh.args(["-o", "NumberOfPasswordPrompts=1", "-p", &address.port().to_string()]);
        ssh.arg(format!("root@{}", address.ip())).arg(command);
        ssh.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force").output().await.expect("ssh runs")
    }

    async fn root_in_shadow(&self) -> String {
        self.ssh("grep ^root: /etc/shadow | cut -d: -f2").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_made_with_a_password_lets_root_in_by_it() {
    let Some(lab) = Lab::open("a_machine_made_with_a_password_lets_root_in_by_it").await else { return };
    let spec = MachineSpec { password_hash: Some(HASH.to_owned()), ..lab.spec(None) };
    lab.engine.ensure(ID, &spec).await.expect("it is made");
    lab.engine.power(ID, Power::On).await.expect("it starts");
    lab.ssh_answers().await;
    let seen = lab.ssh_by_password("hostname").await;
    assert_eq!(String::from_utf8_lossy(&seen.stdout).trim(), "web-1", "{}", String::from_utf8_lossy(&seen.stderr));
    assert_eq!(lab.root_in_shadow().await, HASH);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_set_in_a_running_guest_and_stays() {
    let Some(lab) = Lab::open("a_password_is_set_in_a_running_guest_and_stays").await else { return };
    let spec = lab.started(None).await;
    // It has only just begun to boot: nobody answers.
    let ignored = lab.engine.set_password(ID, HASH).await;
    assert!(matches!(ignored, Err(Error::GuestIgnored(ID))), "{ignored:?}");
    lab.engine.ensure(ID, &spec).await.expect("it is as it was");

    lab.ssh_answers().await;
    assert_eq!(lab.root_in_shadow().await, "*");
    lab.agent_listens().await;
    for hash in [HASH, OTHER_HASH, HASH] {
        lab.engine.set_password(ID, hash).await.expect("it is set");
        assert_eq!(lab.root_in_shadow().await, hash);
    }
    let spec = MachineSpec { password_hash: Some(HASH.to_owned()), ..spec };
    lab.engine.ensure(ID, &spec).await.expect("it is the machine with that password now");
    // It was made with keys alone, and keys alone still open it from outside.
    assert!(!lab.ssh_by_password("hostname").await.status.success());

    lab.engine.power(ID, Power::Off).await.expect("it goes off");
    lab.engine.power(ID, Power::On).await.expect("it starts again");
    lab.ssh_answers().await;
    assert_eq!(lab.root_in_shadow().await, HASH);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_a_server_left_standing_still_goes_on_with_the_next() {
    let test = "a_guest_that_a_server_left_standing_still_goes_on_with_the_next";
    let Some(mut lab) = Lab::open(test).await else { return };
    lab.started(None).await;
    lab.ssh_answers().await;
    lab.agent_listens().await;
    // As a server does that takes a snapshot, and ends in that moment.
    let mut agent = UnixStream::connect(lab.dir().join("run/agent.sock")).await.expect("a connection");
    agent.write_all(b"{\"execute\": \"guest-fsfreeze-freeze\"}\n").await.expect("written");
    let mut answer = [0; 10];
    let answered = timeout(Duration::from_secs(30), agent.read_exact(&mut answer)).await;
    answered.expect("in time").expect("an answer");
    assert_eq!(&answer, b"{\"return\":");
    drop(agent);

    lab.engine = Arc::new(QemuEngine::open(lab.config.clone()).await.expect("an engine"));
    let written = timeout(Duration::from_secs(60), lab.ssh("echo on > /root/on && sync && cat /root/on")).await;
    assert_eq!(written.expect("the file system goes on"), "on");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn debian_takes_passwords_and_finds_volumes() {
    let test = "debian_takes_passwords_and_finds_volumes";
    let Some(lab) = Lab::open(test).await else { return };
    let image = ImageName::new("debian-12-x64").expect("a name");
    if !lab.engine.has_image(&image) {
        skip::<()>(test, "there is no debian-12-x64 (it takes two minutes to build)");
        return;
    }
    // The caller's settings of the same kind must not take ours away.
    let user_data = "#cloud-config\nbootcmd: [[touch, /root/mine]]\n";
    let password_hash = Some(HASH.to_owned());
    let spec = MachineSpec { image, memory_mib: 768, password_hash, ..lab.spec(Some(user_data)) };
    lab.engine.ensure(ID, &spec).await.expect("it is made");
    lab.engine.power(ID, Power::On).await.expect("it starts");
    let ended = async || lab.outcome().await != UserDataOutcome::Pending;
    wait_until(&*lab.engine, 4 * BOOT_LIMIT, || format!("user data ended; {}", lab.state()), ended).await;
    assert_eq!(lab.outcome().await, UserDataOutcome::Done);
    lab.ssh_answers().await;
    lab.ssh("test -e /root/mine").await;
    let seen = lab.ssh_by_password("hostname").await;
    assert_eq!(String::from_utf8_lossy(&seen.stdout).trim(), "web-1", "{}", String::from_utf8_lossy(&seen.stderr));
    lab.engine.set_password(ID, OTHER_HASH).await.expect("it is set");
    assert_eq!(lab.root_in_shadow().await, OTHER_HASH);

    let volume = VolumeId(Uuid::new_v4());
    let filesystem = Some(Filesystem { kind: FilesystemKind::Xfs, label: "logs".to_owned() });
    let made = VolumeSpec { name: "logs-1".to_owned(), size_gib: 1, filesystem, source: None };
    lab.engine.ensure_volume(volume, &made).await.expect("the volume is made");
    lab.engine.attach(volume, ID).await.expect("it is attached");
    let by_id = "/dev/disk/by-id/scsi-0DO_Volume_logs-1";
    lab.in_guest(ID, &format!("[ -b {by_id} ]")).await;
    lab.ssh(&format!("mount {by_id} /mnt && echo kept > /mnt/file && umount /mnt")).await;
    lab.engine.detach(volume, ID).await.expect("it is taken away");
    lab.in_guest(ID, &format!("[ ! -e {by_id} ]")).await;
    lab.close().await;
}
