import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.cert.X509CRLEntry;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jose4j.json.JsonUtil;
import org.jose4j.lang.JoseException;

/** What the service answers over HTTP. */
final class Api {
    private static final Logger LOG = Logger.getLogger("signature");
    private static final int WORKERS = 8;
    private static final String PATIENCE_SECONDS = "30";
    /** Longest body that is read, in bytes. */
    private static final int LONGEST = 4 << 20;
    private static final Pattern REVOCATION = Pattern.compile("/v1/people/([^/]+)/revocation");

    private final Settings settings;
    private final SignIn signIn;
    private final Authority authority;
    private final Signatures signatures;
    private final byte[] operator;

    Api(Settings settings, SignIn signIn, Authority authority, Signatures signatures) {
        this.settings = settings;
        this.signIn = signIn;
        this.authority = authority;
        this.signatures = signatures;
        String credentials = Base64.getEncoder().encodeToString(bytes("operator:" + settings.operatorPassword()));
        this.operator = bytes("Basic " + credentials);
    }

    /** Listens until the process ends. */
    void serve() throws IOException {
        // Who sends or reads slowly does not keep a worker for long.
        System.setProperty("sun.net.httpserver.maxReqTime", PATIENCE_SECONDS);
        System.setProperty("sun.net.httpserver.maxRspTime", PATIENCE_SECONDS);
        HttpServer server = HttpServer.create(new InetSocketAddress(settings.port()), 0);
        server.setExecutor(Executors.newFixedThreadPool(WORKERS));
        server.createContext("/", this::handle);
        server.start();
    }

    private record Answer(int status, String type, byte[] body) {
        static Answer json(int status, Map<String, ?> value) {
            String type = status < 400 ? "application/json" : "application/problem+json";
            return new Answer(status, type, bytes(JsonUtil.toJson(value)));
        }
    }

    private void handle(HttpExchange exchange) throws IOException {
        Answer answer;
        try {
            answer = route(exchange);
        } catch (Problem problem) {
            if (problem.status() >= 500) {
                LOG.log(Level.WARNING, problem.getMessage(), problem.getCause());
            }
            answer = Answer.json(problem.status(), problem.json());
        } catch (IOException | GeneralSecurityException | RuntimeException failed) {
            LOG.log(Level.SEVERE, "a request failed", failed);
            answer = Answer.json(500, new Problem(500, "the service failed; its log says how").json());
        }
        try (OutputStream out = exchange.getResponseBody()) {
            exchange.getResponseHeaders().set("Content-Type", answer.type());
            if (answer.status() == 401) {
                String challenge = "Bearer realm=\"" + settings.issuer() + "\", Basic realm=\"operator\"";
                exchange.getResponseHeaders().set("WWW-Authenticate", challenge);
            }
            exchange.sendResponseHeaders(answer.status(), answer.body().length);
            out.write(answer.body());
        }
    }

    private Answer route(HttpExchange exchange) throws IOException, GeneralSecurityException {
        String path = exchange.getRequestURI().getRawPath();
        Matcher revocation = REVOCATION.matcher(path);
        if (revocation.matches()) {
            only(exchange, "POST");
            return revoke(exchange, URLDecoder.decode(revocation.group(1), StandardCharsets.UTF_8));
        }
        only(exchange, path.equals("/v1/signatures") || path.equals("/v1/validations") ? "POST" : "GET");
        return switch (path) {
            case "/v1/signatures" -> sign(exchange);
            case "/v1/validations" -> validate(exchange);
            case "/v1/authority" -> new Answer(200, "application/pkix-cert", authority.certificate().getEncoded());
            case "/v1/authority/revocations" -> new Answer(200, "application/pkix-crl", authority.revocations().getEncoded());
            case "/healthz" -> new Answer(200, "text/plain", bytes("ok\n"));
            default -> throw new Problem(404, "there is nothing at " + path);
        };
    }

    private Answer sign(HttpExchange exchange) throws IOException, GeneralSecurityException {
        SignIn.Person person = signIn.person(exchange.getRequestHeaders().getFirst("Authorization"));
        byte[] document = base64(body(exchange), "document");
        KeyFiles.Held held = authority.keyOf(person);
        if (authority.revocation(held.certificate()).isPresent()) {
            throw new Problem(403, "the certificate of this person was revoked: nothing is signed with it any more");
        }
        byte[] signature = signatures.sign(held, document);
        LOG.info(() -> "signed with certificate " + held.certificate().getSerialNumber());
        Map<String, Object> made = new LinkedHashMap<>();
        made.put("signature", parsed(new String(signature, StandardCharsets.UTF_8)));
        made.put("certificate", Base64.getEncoder().encodeToString(held.certificate().getEncoded()));
        return Answer.json(201, made);
    }

    private Answer validate(HttpExchange exchange) throws IOException, GeneralSecurityException {
        Map<String, Object> body = body(exchange);
        if (!(body.get("signature") instanceof Map<?, ?> signature)) {
            throw new Problem(400, "signature: is to be the JSON object that was made when the document was signed");
        }
        byte[] json = bytes(JsonUtil.toJson(named(signature)));
        return Answer.json(200, signatures.validate(json, base64(body, "document")));
    }

    private Answer revoke(HttpExchange exchange, String number) throws IOException, GeneralSecurityException {
        String said = exchange.getRequestHeaders().getFirst("Authorization");
        if (said == null || !MessageDigest.isEqual(bytes(said), operator)) {
            throw new Problem(401, "only the operator revokes: user operator and the password of the service's Secret");
        }
        X509CRLEntry entry = authority.revoke(number, since(body(exchange)));
        LOG.info(() -> "revoked certificate " + entry.getSerialNumber());
        return Answer.json(200, Map.of("certificateSerial", entry.getSerialNumber().toString(),
                "since", entry.getRevocationDate().toInstant().toString()));
    }

    /** From when on a certificate counts no more: now, or earlier where it is known that the key was misused. */
    private static Instant since(Map<String, Object> body) {
        Instant now = Instant.now();
        if (!body.containsKey("since")) {
            return now;
        }
        try {
            Instant since = Instant.parse(String.valueOf(body.get("since")));
            if (!since.isAfter(now)) {
                return since;
            }
        } catch (DateTimeException unread) {
            // Told below, as a time to come is.
        }
        throw new Problem(400, "since: is to be a time that has come, such as 2026-01-31T12:00:00Z");
    }

    private static void only(HttpExchange exchange, String method) {
        if (!exchange.getRequestMethod().equals(method)) {
            throw new Problem(405, "this address takes " + method);
        }
    }

    /** The body as an object of JSON; an empty one where there is none. */
    private static Map<String, Object> body(HttpExchange exchange) throws IOException {
        byte[] read = exchange.getRequestBody().readNBytes(LONGEST + 1);
        if (read.length > LONGEST) {
            // Who still sends hears no answer.
            exchange.getRequestBody().transferTo(OutputStream.nullOutputStream());
            throw new Problem(413, "the longest body that is read has " + LONGEST + " bytes");
        }
        return read.length == 0 ? Map.of() : parsed(new String(read, StandardCharsets.UTF_8));
    }

    private static Map<String, Object> parsed(String json) {
        try {
            return JsonUtil.parseJson(json);
        } catch (JoseException unread) {
            throw new Problem(400, "the body is to be an object of JSON");
        }
    }

    private static byte[] base64(Map<String, Object> body, String name) {
        try {
            if (body.get(name) instanceof String text && !text.isEmpty()) {
                return Base64.getDecoder().decode(text);
            }
        } catch (IllegalArgumentException unread) {
            // Told below, as a missing one is.
        }
        throw new Problem(400, name + ": is to be the document's bytes in Base64");
    }

    private static Map<String, Object> named(Map<?, ?> object) {
        Map<String, Object> named = new LinkedHashMap<>();
        object.forEach((name, value) -> named.put((String) name, value));
        return named;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
