import eu.europa.esig.dss.diagnostic.CertificateWrapper;
import eu.europa.esig.dss.enumerations.DigestAlgorithm;
import eu.europa.esig.dss.enumerations.JWSSerializationType;
import eu.europa.esig.dss.enumerations.SigDMechanism;
import eu.europa.esig.dss.enumerations.SignatureAlgorithm;
import eu.europa.esig.dss.enumerations.SignatureLevel;
import eu.europa.esig.dss.enumerations.SignaturePackaging;
import eu.europa.esig.dss.enumerations.SubIndication;
import eu.europa.esig.dss.jades.JAdESSignatureParameters;
import eu.europa.esig.dss.jades.signature.JAdESService;
import eu.europa.esig.dss.jaxb.object.Message;
import eu.europa.esig.dss.model.DSSDocument;
import eu.europa.esig.dss.model.DSSException;
import eu.europa.esig.dss.model.InMemoryDocument;
import eu.europa.esig.dss.model.SignatureValue;
import eu.europa.esig.dss.model.x509.CertificateToken;
import eu.europa.esig.dss.simplereport.SimpleReport;
import eu.europa.esig.dss.spi.exception.IllegalInputException;
import eu.europa.esig.dss.spi.validation.CertificateVerifier;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.spi.x509.revocation.crl.ExternalResourcesCRLSource;
import eu.europa.esig.dss.spi.x509.tsp.KeyEntityTSPSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import eu.europa.esig.dss.validation.reports.Reports;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.security.auth.x500.X500Principal;

/** Signatures by ETSI TS 119 182-1 (JAdES), detached from the document and time-stamped; made and validated by EU DSS. */
final class Signatures {
    private static final SignatureLevel LEVEL = SignatureLevel.JAdES_BASELINE_T;
    /** Names what a time-stamp promises, as RFC 3161 wants it: here that this is a trial. Made of a random UUID. */
    private static final String TIME_STAMP_POLICY = "2.25.219124124573919027340432739175511583083";

    private final Authority authority;
    private final KeyEntityTSPSource timeStamps;

    Signatures(Authority authority) {
        this.authority = authority;
        KeyFiles.Held held = authority.timeStamps();
        List<X509Certificate> chain = List.of(held.certificate(), authority.certificate());
        this.timeStamps = new KeyEntityTSPSource(held.key(), held.certificate(), chain);
        timeStamps.setTsaPolicy(TIME_STAMP_POLICY);
    }

    /** Signs a document: JSON of a JWS without the payload. */
    byte[] sign(KeyFiles.Held by, byte[] document) throws IOException, GeneralSecurityException {
        JAdESSignatureParameters parameters = new JAdESSignatureParameters();
        parameters.setSignatureLevel(LEVEL);
        parameters.setSignaturePackaging(SignaturePackaging.DETACHED);
        parameters.setSigDMechanism(SigDMechanism.NO_SIG_D);
        parameters.setJwsSerializationType(JWSSerializationType.FLATTENED_JSON_SERIALIZATION);
        parameters.setDigestAlgorithm(DigestAlgorithm.SHA256);
        parameters.setSigningCertificate(new CertificateToken(by.certificate()));
        parameters.setCertificateChain(new CertificateToken(by.certificate()), new CertificateToken(authority.certificate()));
        parameters.bLevel().setSigningDate(new Date());
        JAdESService service = new JAdESService(verifier());
        service.setTspSource(timeStamps);
        DSSDocument signed = new InMemoryDocument(document);
        byte[] value = sign(by.key(), service.getDataToSign(signed, parameters).getBytes());
        DSSDocument made = service.signDocument(signed, parameters, new SignatureValue(SignatureAlgorithm.ECDSA_SHA256, value));
        try (InputStream content = made.openStream()) {
            return content.readAllBytes();
        }
    }

    /**
     * What DSS says of a signature by the policy that it brings (ETSI EN 319 102-1), with this service's authority as the
     * only anchor of trust and its list of the revoked. Nothing is fetched.
     */
    Map<String, Object> validate(byte[] signature, byte[] document) throws IOException, GeneralSecurityException {
        Reports reports;
        try {
            SignedDocumentValidator validator = SignedDocumentValidator.fromDocument(new InMemoryDocument(signature));
            validator.setCertificateVerifier(verifier());
            validator.setDetachedContents(List.of(new InMemoryDocument(document)));
            reports = validator.validateDocument();
        } catch (DSSException | IllegalInputException | UnsupportedOperationException unread) {
            throw new Problem(400, "signature: DSS cannot read it: " + unread.getMessage(), unread);
        }
        SimpleReport report = reports.getSimpleReport();
        if (report.getSignaturesCount() != 1) {
            int count = report.getSignaturesCount();
            throw new Problem(400, "signature: holds " + count + " signatures, and one is validated at a time");
        }
        String id = report.getFirstSignatureId();
        SubIndication sub = report.getSubIndication(id);
        Map<String, Object> said = new LinkedHashMap<>();
        said.put("indication", report.getIndication(id).toString());
        said.put("subIndication", sub == null ? null : sub.toString());
        said.put("format", report.getSignatureFormat(id).toString());
        said.put("signer", signer(reports.getDiagnosticData().getSignatureById(id).getSigningCertificate()));
        said.put("signingTime", text(report.getSigningTime(id)));
        said.put("bestSignatureTime", text(report.getBestSignatureTime(id)));
        said.put("errors", texts(report.getAdESValidationErrors(id)));
        said.put("warnings", texts(report.getAdESValidationWarnings(id)));
        return said;
    }

    private CertificateVerifier verifier() throws IOException, GeneralSecurityException {
        CommonTrustedCertificateSource anchors = new CommonTrustedCertificateSource();
        anchors.addCertificate(new CertificateToken(authority.certificate()));
        CommonCertificateVerifier verifier = new CommonCertificateVerifier(true);
        verifier.setTrustedCertSources(anchors);
        verifier.setCrlSource(new ExternalResourcesCRLSource(new ByteArrayInputStream(authority.revocations().getEncoded())));
        return verifier;
    }

    private static byte[] sign(PrivateKey key, byte[] data) throws GeneralSecurityException {
        Signature signature = Signature.getInstance("SHA256withECDSA");
        signature.initSign(key);
        signature.update(data);
        return signature.sign();
    }

    private static Map<String, Object> signer(CertificateWrapper certificate) {
        if (certificate == null) {
            return null;
        }
        Map<String, Object> signer = new LinkedHashMap<>();
        signer.put("name", certificate.getCommonName());
        signer.put("number", certificate.getSubjectSerialNumber());
        signer.put("subject", new X500Principal(certificate.getCertificateDN()).toString());
        signer.put("issuer", new X500Principal(certificate.getCertificateIssuerDN()).toString());
        signer.put("certificateSerial", certificate.getSerialNumber());
        return signer;
    }

    private static String text(Date time) {
        return time == null ? null : Instant.ofEpochMilli(time.getTime()).toString();
    }

    private static List<String> texts(List<Message> messages) {
        return messages.stream().map(Message::getValue).toList();
    }
}
