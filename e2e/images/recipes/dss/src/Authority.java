import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.MessageDigest;
import java.security.cert.CertificateFactory;
import java.security.cert.X509CRL;
import java.security.cert.X509CRLEntry;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.HexFormat;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The service's own authority: it certifies people's keys and the key of time-stamps, and says which certificates were
 * revoked. All of it lies on the volume: {@code authority.p12}, {@code time-stamps.p12}, {@code revoked.crl}, and in
 * {@code people} a file a person. What is missing while people's keys are there was lost, and nothing new takes its place.
 */
final class Authority {
    private final KeyFiles files;
    private final Certificates certificates;
    private final Path people;
    private final Path list;
    private final KeyFiles.Held own;
    private final KeyFiles.Held timeStamps;

    /** Opens what lies on the volume; makes it on an empty one. */
    Authority(Settings settings) throws IOException, GeneralSecurityException {
        this.files = new KeyFiles(settings.storePassphrase());
        this.certificates = new Certificates(settings);
        this.people = Files.createDirectories(settings.data().resolve("people"));
        this.list = settings.data().resolve("revoked.crl");
        this.own = kept(settings.data().resolve("authority.p12"), pair -> new X509Certificate[] {certificates.ofAuthority(pair)});
        if (Files.notExists(list)) {
            refuseWherePeopleAre(list);
            write(certificates.list(own, null));
        }
        this.timeStamps = kept(settings.data().resolve("time-stamps.p12"), pair ->
                new X509Certificate[] {certificates.ofTimeStamps(own, pair.getPublic()), own.certificate()});
        revoked();
    }

    X509Certificate certificate() {
        return own.certificate();
    }

    KeyFiles.Held timeStamps() {
        return timeStamps;
    }

    /** The key of a person; made and certified at its first use. */
    synchronized KeyFiles.Held keyOf(SignIn.Person person) throws IOException, GeneralSecurityException {
        Path file = fileOf(person.number());
        Optional<KeyFiles.Held> there = files.read(file);
        if (there.isPresent()) {
            return there.get();
        }
        KeyPair pair = Certificates.keyPair();
        X509Certificate certificate = certificates.ofPerson(own, person, pair.getPublic());
        files.write(file, pair.getPrivate(), certificate, own.certificate());
        return new KeyFiles.Held(pair.getPrivate(), certificate);
    }

    /** How a certificate was revoked; nothing where it was not. */
    Optional<X509CRLEntry> revocation(X509Certificate certificate) throws IOException, GeneralSecurityException {
        return Optional.ofNullable(revoked().getRevokedCertificate(certificate));
    }

    /** Revokes the certificate of a person from that time on. What was revoked before stays as it is. */
    synchronized X509CRLEntry revoke(String number, Instant since) throws IOException, GeneralSecurityException {
        X509Certificate certificate = files.read(fileOf(number)).map(KeyFiles.Held::certificate)
                .orElseThrow(() -> new Problem(404, "no person of this number has a key"));
        if (revocation(certificate).isEmpty()) {
            write(certificates.list(own, revoked(), new Certificates.Revocation(certificate.getSerialNumber(), since)));
        }
        return revocation(certificate).orElseThrow();
    }

    /** The list of what was revoked, signed now. */
    X509CRL revocations() throws IOException, GeneralSecurityException {
        return certificates.list(own, revoked());
    }

    private KeyFiles.Held kept(Path file, Chain chain) throws IOException, GeneralSecurityException {
        Optional<KeyFiles.Held> there = files.read(file);
        if (there.isPresent()) {
            return there.get();
        }
        refuseWherePeopleAre(file);
        KeyPair pair = Certificates.keyPair();
        files.write(file, pair.getPrivate(), chain.of(pair));
        return files.read(file).orElseThrow();
    }

    /** Certificates of a new key, its own first. */
    private interface Chain {
        X509Certificate[] of(KeyPair pair) throws IOException, GeneralSecurityException;
    }

    private void refuseWherePeopleAre(Path missing) throws IOException {
        try (Stream<Path> keys = Files.list(people)) {
            if (keys.findAny().isPresent()) {
                throw new IOException(missing.getFileName()
                        + " is missing while keys of people are there; no new one is made: bring it back");
            }
        }
    }

    private X509CRL revoked() throws IOException, GeneralSecurityException {
        byte[] signed = Files.readAllBytes(list);
        X509CRL read = (X509CRL) CertificateFactory.getInstance("X.509").generateCRL(new ByteArrayInputStream(signed));
        read.verify(own.certificate().getPublicKey());
        return read;
    }

    private void write(X509CRL signed) throws IOException, GeneralSecurityException {
        KeyFiles.replace(list, out -> out.write(signed.getEncoded()));
    }

    /** A number may hold what the name of a file may not. */
    private Path fileOf(String number) throws GeneralSecurityException {
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(number.getBytes(StandardCharsets.UTF_8));
        return people.resolve(HexFormat.of().formatHex(digest) + ".p12");
    }
}
