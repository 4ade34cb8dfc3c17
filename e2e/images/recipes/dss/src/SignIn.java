import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Map;
import org.jose4j.json.JsonUtil;
import org.jose4j.lang.JoseException;

/** Who is signed in: an access token is shown to the identity provider, whose word counts. */
final class SignIn {
    private static final Duration PATIENCE = Duration.ofSeconds(10);

    private final HttpClient http = HttpClient.newBuilder().connectTimeout(PATIENCE).build();
    private final URI userinfo;
    private final String personClaim;

    SignIn(String userinfo, String personClaim) {
        this.userinfo = URI.create(userinfo);
        this.personClaim = personClaim;
    }

    /** A person by number and name. */
    record Person(String number, String name) {}

    /** Whose the token is that the header {@code Authorization} carries. */
    Person person(String authorization) {
        if (authorization == null || !authorization.regionMatches(true, 0, "Bearer ", 0, 7)) {
            throw new Problem(401, "send the access token of the person who signs: Authorization: Bearer …");
        }
        Map<String, Object> claims = claims(ask(authorization));
        String number = text(claims, personClaim);
        if (number == null) {
            throw new Problem(403,
                    "the identity provider says no claim `" + personClaim + "` of this person: no key is hers without it");
        }
        String name = text(claims, "name");
        return new Person(number, name == null ? number : name);
    }

    private HttpResponse<String> ask(String authorization) {
        HttpResponse<String> answer;
        try {
            HttpRequest request = HttpRequest.newBuilder(userinfo).timeout(PATIENCE)
                    .header("Authorization", authorization).header("Accept", "application/json").build();
            answer = http.send(request, HttpResponse.BodyHandlers.ofString());
        } catch (IllegalArgumentException unfit) {
            throw new Problem(401, "the access token holds characters that no token has");
        } catch (IOException failed) {
            throw new Problem(503, "the identity provider at " + userinfo + " is not reached", failed);
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
            throw new Problem(503, "stopped while the identity provider was asked", stopped);
        }
        return switch (answer.statusCode()) {
            case 200 -> answer;
            case 400, 401 -> throw new Problem(401,
                    "the identity provider does not take this access token: it is not its own, has ended, or was withdrawn");
            case 403 -> throw new Problem(403,
                    "the identity provider says nothing of the person to this access token: it needs the scope `openid`");
            default -> throw new Problem(503, "the identity provider answered " + answer.statusCode());
        };
    }

    private static Map<String, Object> claims(HttpResponse<String> answer) {
        try {
            return JsonUtil.parseJson(answer.body());
        } catch (JoseException unread) {
            throw new Problem(503, "the identity provider answered no JSON", unread);
        }
    }

    /** Numbers of people are text to some providers, and numbers to others. */
    private static String text(Map<String, Object> claims, String name) {
        Object value = claims.get(name);
        return value instanceof Long || value instanceof String text && !text.isBlank() ? value.toString() : null;
    }
}
