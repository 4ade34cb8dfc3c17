import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.logging.Level;
import java.util.logging.Logger;

/** A trial service around EU DSS: it signs for people who are signed in, with keys that it keeps, and validates. */
final class Main {
    private static final Logger LOG = Logger.getLogger("signature");
    /** DSS warns of what its reports say as well. Held here, for Java forgets what it was told of a log that nobody holds. */
    private static final Logger LIBRARY = Logger.getLogger("eu.europa.esig");

    private Main() {}

    public static void main(String[] arguments) {
        System.setProperty("java.util.logging.SimpleFormatter.format", "%1$tFT%1$tT.%1$tL%1$tz %4$s %3$s: %5$s%6$s%n");
        LIBRARY.setLevel(Level.SEVERE);
        try {
            Settings settings = Settings.of(System.getenv());
            Authority authority = new Authority(settings);
            SignIn signIn = new SignIn(settings.userinfo(), settings.personClaim());
            new Api(settings, signIn, authority, new Signatures(authority)).serve();
            LOG.warning("this is a trial of signing around EU DSS: keys are files, the authority is this service's own, and it is"
                    + " no qualified trust service");
            LOG.info("listening on port " + settings.port() + "; people sign in at " + settings.issuer());
        } catch (IOException | GeneralSecurityException | RuntimeException failed) {
            LOG.severe("cannot start: " + failed.getMessage());
            System.exit(1);
        }
    }
}
