import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.X509Certificate;
import java.util.Optional;

/** Private keys on the volume: a PKCS#12 file each, which one passphrase opens. None is ever replaced. */
final class KeyFiles {
    private static final String ALIAS = "key";

    private final char[] passphrase;

    KeyFiles(char[] passphrase) {
        this.passphrase = passphrase;
    }

    /** A key and its certificate. */
    record Held(PrivateKey key, X509Certificate certificate) {}

    /**
     * The key in a file; nothing where there is no file.
     *
     * @throws Problem the file is there and does not open: no other key may take its place
     */
    Optional<Held> read(Path file) {
        if (Files.notExists(file)) {
            return Optional.empty();
        }
        try (InputStream in = Files.newInputStream(file)) {
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(in, passphrase);
            if (!(store.getKey(ALIAS, passphrase) instanceof PrivateKey key)) {
                throw new IOException("it holds no key");
            }
            return Optional.of(new Held(key, (X509Certificate) store.getCertificate(ALIAS)));
        } catch (IOException | GeneralSecurityException unread) {
            throw new Problem(500, "the key in " + file.getFileName() + " does not open (" + unread.getMessage()
                    + "); no new one is made: bring back the file, or the passphrase that it was written with", unread);
        }
    }

    /** Keeps a new key. */
    void write(Path file, PrivateKey key, X509Certificate... chain) throws IOException, GeneralSecurityException {
        if (!Files.notExists(file)) {
            throw new IOException(file.getFileName() + " is there already");
        }
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, passphrase);
        store.setKeyEntry(ALIAS, key, passphrase, (Certificate[]) chain);
        replace(file, out -> store.store(out, passphrase));
    }

    /** Content of a file. */
    interface Content {
        void to(OutputStream out) throws IOException, GeneralSecurityException;
    }

    /** Writes a file whole: whoever reads it, also after a crash, finds the old content or the new. */
    static void replace(Path file, Content content) throws IOException, GeneralSecurityException {
        Path fresh = Files.createTempFile(file.getParent(), ".", ".new");
        try {
            try (OutputStream out = Files.newOutputStream(fresh)) {
                content.to(out);
            }
            sync(fresh);
            Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE);
            sync(file.getParent());
        } finally {
            Files.deleteIfExists(fresh);
        }
    }

    private static void sync(Path path) throws IOException {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }
}
