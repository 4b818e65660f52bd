use dewpoint_testkit::TestApp;

#[tokio::test]
async fn smoke() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    app.books_balance().await;
    assert_eq!(app.machines().await, [id]);
}
