//! The same recipe makes the same image, whoever builds it and when.

use plinth_cluster::Lines;
use plinth_images::Images;

/// Debian's packages with Java's authorities, which tell the time of their making, and jars: what could differ is in it.
const IMAGE: &str = "kafka";

#[test]
#[ignore = "minutes: installs Debian's packages twice; run by e2e/all images"]
fn two_builds_with_nothing_kept_between_them_are_the_same_bytes() {
    let progress = Lines::default();
    let build = || {
        let folder = tempfile::tempdir().unwrap();
        let image = Images::kept_in(folder.path().to_owned(), &progress).build(IMAGE).unwrap();
        let archive = std::fs::read(&image.archive).unwrap();
        (image.digest, image.packages, archive)
    };
    let (first, second) = (build(), build());
    assert_eq!((&first.0, &first.1), (&second.0, &second.1));
    assert!(first.2 == second.2, "the archives of the same image differ");
}
