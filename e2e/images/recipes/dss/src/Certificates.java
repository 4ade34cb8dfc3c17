import java.io.IOException;
import java.math.BigInteger;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.cert.X509CRL;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.time.Duration;
import java.time.Instant;
import java.util.Date;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x500.X500NameBuilder;
import org.bouncycastle.asn1.x500.style.BCStyle;
import org.bouncycastle.asn1.x509.AccessDescription;
import org.bouncycastle.asn1.x509.AuthorityInformationAccess;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.CRLDistPoint;
import org.bouncycastle.asn1.x509.CRLNumber;
import org.bouncycastle.asn1.x509.CRLReason;
import org.bouncycastle.asn1.x509.DistributionPoint;
import org.bouncycastle.asn1.x509.DistributionPointName;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.cert.X509v3CertificateBuilder;
import org.bouncycastle.cert.jcajce.JcaX509CRLConverter;
import org.bouncycastle.cert.jcajce.JcaX509CRLHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cert.jcajce.JcaX509v2CRLBuilder;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/** Certificates and lists of the revoked, by RFC 5280, with keys on the curve P-256. */
final class Certificates {
    private static final SecureRandom RANDOM = new SecureRandom();
    private static final Duration AUTHORITY_LIFE = Duration.ofDays(3650);
    /** A list is signed whenever it is asked for; so long one that was kept may be believed. */
    private static final Duration LIST_LIFE = Duration.ofDays(1);
    /** Whose clock is behind believes a new certificate, too. */
    private static final Duration SKEW = Duration.ofMinutes(5);

    private final Settings settings;

    Certificates(Settings settings) {
        this.settings = settings;
    }

    static KeyPair keyPair() throws GeneralSecurityException {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(new ECGenParameterSpec("secp256r1"), RANDOM);
        return generator.generateKeyPair();
    }

    X509Certificate ofAuthority(KeyPair pair) throws IOException, GeneralSecurityException {
        X500Name name = name().addRDN(BCStyle.CN, settings.authority()).build();
        Date until = Date.from(Instant.now().plus(AUTHORITY_LIFE));
        X509v3CertificateBuilder builder = builder(name, name, pair.getPublic(), until);
        builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(0));
        builder.addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign));
        return signed(builder, pair.getPrivate());
    }

    X509Certificate ofTimeStamps(KeyFiles.Held authority, PublicKey key) throws IOException, GeneralSecurityException {
        X500NameBuilder subject = name().addRDN(BCStyle.CN, settings.authority() + ", time-stamps");
        X509v3CertificateBuilder builder = certified(authority, subject, key);
        builder.addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.digitalSignature));
        builder.addExtension(Extension.extendedKeyUsage, true, new ExtendedKeyUsage(KeyPurposeId.id_kp_timeStamping));
        return signed(builder, authority.key());
    }

    /** For what binds a person, and for nothing else. */
    X509Certificate ofPerson(KeyFiles.Held authority, SignIn.Person person, PublicKey key)
            throws IOException, GeneralSecurityException {
        X500NameBuilder subject = name().addRDN(BCStyle.CN, person.name()).addRDN(BCStyle.SERIALNUMBER, person.number());
        X509v3CertificateBuilder builder = certified(authority, subject, key);
        builder.addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.nonRepudiation));
        return signed(builder, authority.key());
    }

    /** A certificate that counts no more from a time on. */
    record Revocation(BigInteger serial, Instant since) {}

    /** The list of what was revoked before, and of these. */
    X509CRL list(KeyFiles.Held authority, X509CRL before, Revocation... more) throws IOException, GeneralSecurityException {
        Instant now = Instant.now();
        JcaX509v2CRLBuilder builder = new JcaX509v2CRLBuilder(authority.certificate(), Date.from(now));
        builder.setNextUpdate(Date.from(now.plus(LIST_LIFE)));
        builder.addExtension(Extension.cRLNumber, false, new CRLNumber(BigInteger.valueOf(now.toEpochMilli())));
        builder.addExtension(Extension.authorityKeyIdentifier, false,
                new JcaX509ExtensionUtils().createAuthorityKeyIdentifier(authority.certificate().getPublicKey()));
        if (before != null) {
            builder.addCRL(new JcaX509CRLHolder(before));
        }
        for (Revocation revocation : more) {
            builder.addCRLEntry(revocation.serial(), Date.from(revocation.since()), CRLReason.privilegeWithdrawn);
        }
        return new JcaX509CRLConverter().getCRL(builder.build(signer(authority.key())));
    }

    private X500NameBuilder name() {
        return new X500NameBuilder(BCStyle.INSTANCE).addRDN(BCStyle.C, settings.country());
    }

    /** As long as the authority lives, and with the addresses where the authority and its list are. */
    private X509v3CertificateBuilder certified(KeyFiles.Held authority, X500NameBuilder subject, PublicKey key)
            throws IOException, GeneralSecurityException {
        X509Certificate issuer = authority.certificate();
        X500Name issuerName = X500Name.getInstance(issuer.getSubjectX500Principal().getEncoded());
        X509v3CertificateBuilder builder = builder(issuerName, subject.build(), key, issuer.getNotAfter());
        builder.addExtension(Extension.authorityKeyIdentifier, false,
                new JcaX509ExtensionUtils().createAuthorityKeyIdentifier(issuer.getPublicKey()));
        GeneralNames list = new GeneralNames(at("/v1/authority/revocations"));
        builder.addExtension(Extension.cRLDistributionPoints, false,
                new CRLDistPoint(new DistributionPoint[] {new DistributionPoint(new DistributionPointName(list), null, null)}));
        builder.addExtension(Extension.authorityInfoAccess, false,
                new AuthorityInformationAccess(AccessDescription.id_ad_caIssuers, at("/v1/authority")));
        return builder;
    }

    private GeneralName at(String path) {
        return new GeneralName(GeneralName.uniformResourceIdentifier, settings.address() + path);
    }

    private static X509v3CertificateBuilder builder(X500Name issuer, X500Name subject, PublicKey key, Date until)
            throws IOException, GeneralSecurityException {
        Date from = Date.from(Instant.now().minus(SKEW));
        BigInteger serial = new BigInteger(127, RANDOM);
        X509v3CertificateBuilder builder = new JcaX509v3CertificateBuilder(issuer, serial, from, until, subject, key);
        builder.addExtension(Extension.subjectKeyIdentifier, false, new JcaX509ExtensionUtils().createSubjectKeyIdentifier(key));
        return builder;
    }

    private static X509Certificate signed(X509v3CertificateBuilder builder, PrivateKey by) throws GeneralSecurityException {
        return new JcaX509CertificateConverter().getCertificate(builder.build(signer(by)));
    }

    private static ContentSigner signer(PrivateKey key) throws GeneralSecurityException {
        try {
            return new JcaContentSignerBuilder("SHA256withECDSA").build(key);
        } catch (OperatorCreationException failed) {
            throw new GeneralSecurityException(failed);
        }
    }
}
