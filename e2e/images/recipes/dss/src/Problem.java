import java.util.LinkedHashMap;
import java.util.Map;

/** A refusal, as RFC 9457 has it: status, what it is, and what to do about it. */
final class Problem extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private static final Map<Integer, String> TITLES = Map.of(
            400, "The request cannot be read",
            401, "Nobody is signed in",
            403, "Not allowed",
            404, "Not found",
            405, "Method not allowed",
            413, "Too large",
            500, "Failed",
            503, "The identity provider does not answer");

    private final int status;

    Problem(int status, String detail) {
        super(detail);
        this.status = status;
    }

    Problem(int status, String detail, Throwable cause) {
        super(detail, cause);
        this.status = status;
    }

    int status() {
        return status;
    }

    Map<String, Object> json() {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("type", "about:blank");
        json.put("title", TITLES.get(status));
        json.put("status", status);
        json.put("detail", getMessage());
        return json;
    }
}
