import java.nio.file.Path;
import java.util.Map;

/** What the service is told by its environment. */
record Settings(
        int port,
        /** Folder of keys and of what was revoked: data, which outlives the container. */
        Path data,
        /** Opens every key in the folder. */
        char[] storePassphrase,
        /** By which the operator revokes. */
        String operatorPassword,
        /** Where the identity provider says whose an access token is. */
        String userinfo,
        /** Where people sign in, for whoever is not. */
        String issuer,
        /** Claim that is a person's number: keys belong to numbers. */
        String personClaim,
        /** Name of the authority that certifies keys. */
        String authority,
        /** Country of the authority and of those whom it certifies, by ISO 3166. */
        String country,
        /** Address by which others reach this service; certificates say where the authority and its list are. */
        String address) {

    static Settings of(Map<String, String> environment) {
        return new Settings(
                Integer.parseInt(required(environment, "PORT")),
                Path.of(required(environment, "DATA")),
                required(environment, "STORE_PASSPHRASE").toCharArray(),
                required(environment, "OPERATOR_PASSWORD"),
                required(environment, "USERINFO_URL"),
                required(environment, "ISSUER"),
                required(environment, "PERSON_CLAIM"),
                required(environment, "AUTHORITY"),
                required(environment, "COUNTRY"),
                required(environment, "ADDRESS"));
    }

    private static String required(Map<String, String> environment, String name) {
        String value = environment.get(name);
        if (value == null || value.isBlank()) {
            throw new IllegalArgumentException("variable " + name + " is missing");
        }
        return value;
    }

    /** Names no secret. */
    @Override
    public String toString() {
        return "Settings[port=" + port + ", data=" + data + ", userinfo=" + userinfo + "]";
    }
}
